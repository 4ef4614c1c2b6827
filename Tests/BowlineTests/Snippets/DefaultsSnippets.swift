import Bowline

#if Configuration
    import Configuration
#endif

/// The snippets of Docs/Defaults.md in their order, with the imports that it shows. Nothing here is run.
private enum DefaultsSnippets {
    static func snippet1() throws {
        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.timeouts.total = .seconds(20)
            $0.pool.maximumPerOrigin = 32
        }
        _ = client
    }

    static func snippet2(_ client: ServiceClient) async throws {
        var request = ServiceRequest.post("reports", body: .text("…"))
        request.options.idempotency = .idempotent
        request.options.timeouts.total = .seconds(5)
        let response = try await client.send(request)
        print(response.status)
    }

    #if Configuration
        static func reading() throws {
            let settings = ConfigReader(provider: EnvironmentVariablesProvider())
            let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
                try $0.apply(settings, scope: "api")  // API_TIMEOUTS_TOTAL=1.5s API_RETRY_MAXIMUM_ATTEMPTS=5
            }
            _ = client
        }
    #endif
}
