import Bowline
import BowlineTesting
import Logging
import Testing

@Suite("Numbers and words of the lines about retries", .timeLimit(.minutes(1)))
struct RetryLogNumberTests {
    @Test("A retry's line names the following attempt, also if one attempt became two because of a 417")
    func numbers() async throws {
        let (lines, stub) = (LogLines(), StubTransport())
        stub.on(.put, "/a", inOrder: [.respond(.expectationFailed), .respond(.serviceUnavailable), .respond(.ok)])
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.telemetry.logger = lines.logger()
            $0.random = { 0 }
        }
        let response = try await client.put("a", body: .text("x")) { $0.continueTimeout = .seconds(1) }
        #expect(response.attempts == 3)
        let line = try #require(lines.all.first { $0.message.hasPrefix("retrying") })
        #expect(line.message.hasPrefix("retrying: 503, attempt 3"))
        #expect(line.metadata["bowline.attempt"] == "2")
    }

    @Test("A call that ended with an error's status has not succeeded")
    func success() async throws {
        let (lines, stub) = (LogLines(), StubTransport())
        stub.on(.get, "/a", inOrder: [.respond(.serviceUnavailable), .respond(.internalServerError)])
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.telemetry.logger = lines.logger()
            $0.random = { 0 }
        }
        #expect(try await client.get("a").status == .internalServerError)
        #expect(!lines.all.contains { $0.message.hasPrefix("succeeded") })
    }
}
