import BowlineTesting
import Testing

@testable import Bowline

@Suite("Limits from the environment, in derived clients")
struct SettledLimitsDerivedTests {
    /// The environment sets 90 s for an attempt; the program's total is the default, 60 s.
    private func client() throws -> ServiceClient {
        try ServiceClient(baseURL: "http://a.example", transport: StubTransport()) {
            $0.timeouts.attempt = .seconds(90)
            $0.reading.attempt = .seconds(90)  // what `apply(_:)` notes
        }
    }

    @Test(
        "A derived client with a shorter total limits the attempt again, and does not fail because of the environment")
    func shorter() throws {
        let client = try client()
        #expect(client.configuration.timeouts.attempt == .seconds(60))
        let quick = try client.with { $0.timeouts.total = .seconds(10) }
        #expect(quick.configuration.timeouts.attempt == .seconds(10))
    }

    @Test("A limit from the environment can be shortened twice")
    func twice() throws {
        let client = try ServiceClient(baseURL: "http://a.example", transport: StubTransport()) {
            $0.timeouts.attempt = .seconds(5)
            $0.reading.attempt = .seconds(5)
        }
        let quick = try client.with { $0.timeouts.total = .seconds(3) }
        let quicker = try quick.with { $0.timeouts.total = .seconds(2) }
        #expect(quicker.configuration.timeouts.attempt == .seconds(2))
    }
}
