import Bowline
import Logging

/// The snippets of Docs/Telemetry.md in their order, with the imports that it shows. Nothing here is run.
private enum TelemetrySnippets {
    static func snippet1() throws {
        var logger = Logger(label: "app")
        logger.logLevel = .debug  // a line when an attempt ends; at trace also when it begins
        let client = try ServiceClient(baseURL: "https://api.example.com") { [logger] in
            $0.telemetry.logger = logger
        }
        _ = client
    }

    static func snippet2() throws {
        struct SlowWaits: ServiceEventListener {
            func requestDequeued(_ event: RequestEvent, waited: Duration) {
                if waited > .milliseconds(100) { print("\(event.origin) kept \(event.target) waiting for \(waited)") }
            }
        }

        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.telemetry.events = [SlowWaits()]
        }
        _ = client
    }
}
