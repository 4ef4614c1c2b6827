import Bowline
import Logging
import ServiceLifecycle
import UnixSignals

/// The snippets of Docs/Shutdown.md in their order, with the imports that it shows. Nothing here is run.
private enum ShutdownSnippets {
    static func snippet1(_ client: ServiceClient) async {
        let report = await client.shutdown(within: .seconds(10))
        print(report.isClean, report.drained, report.connectionsClosed, report.duration)
        for call in report.forced {
            print(call.method, call.target, call.phase, call.attempt, call.age)
        }
    }

    static func snippet2(_ client: ServiceClient) async {
        for await progress in client.shutdownProgress {
            print(progress.state, progress.inFlight)
        }
    }

    static func snippet3() async throws {
        let status = try await withServiceClient("https://api.example.com") { client in
            try await client.get("health").status
        }
        print(status)
    }

    static func snippet4(_ client: ServiceClient, _ server: any Service) async throws {
        let group = ServiceGroup(
            services: [client, server], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "app")
        )
        try await group.run()
        let report = await client.shutdown()  // over already: the same report, at once
        print(report.isClean, report.forced.count)
    }
}
