import Bowline
import BowlineTesting
import Logging
import Testing

/// `ServiceClient.run()`: "it is always in the log: where the client's lines go, and else under the label
/// `bowline.client`".
@Suite("The report of a client that runs as a service", .timeLimit(.minutes(1)))
struct ServiceRunLogTests {
    @Test(
        "The report is in the log of the task that runs the service, also if a task without a logger began the shutdown"
    )
    func report() async throws {
        let lines = LogLines()
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport())
        try await withLogger(lines.logger()) { _ in
            async let running: Void = client.run()
            _ = await Task.detached { await client.shutdown() }.value
            try await running
        }
        #expect(lines.all.map(\.level) == [.info])
        #expect(lines.all.first?.message.hasPrefix("shut down, clean") == true)
    }
}
