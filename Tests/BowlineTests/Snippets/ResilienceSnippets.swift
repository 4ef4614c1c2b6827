import Bowline
import NIOCore

/// The snippets of Docs/Resilience.md in their order, with the imports that it shows. Nothing here is run.
private enum ResilienceSnippets {
    static func snippet1() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.resilience.hedging = HedgingOptions()  // after the 95th percentile of recent attempts
        }
        let found = try await client.get("search?q=rope") {
            var hedging = HedgingOptions()
            hedging.delay = .after(.milliseconds(50))
            $0.hedging = .limited(hedging)  // .unlimited: no hedges for this request
        }
        print(found.requestsSent)
    }

    static func snippet2(client: ServiceClient) async throws {
        var request = ServiceRequest.get("recommendations")
        request.options.fallback = { error in
            guard error.code != .invalidRequest else { throw error }
            return ServiceResponse(status: .ok, body: ResponseBody(ByteBuffer(string: "[]")))
        }
        let response = try await client.send(request)
        print(try await response.decode([String].self))
    }
}
