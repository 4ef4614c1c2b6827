import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Responses over HTTP/2 that violate the rules of a message", .timeLimit(.minutes(1)))
struct HTTP2ResponseRuleTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let what: String
        /// The sections that the peer sends, a field each, and whether the last of them ends the stream.
        let sections: [(name: String, value: String)]
        var endsStream = false
        let message: String

        var testDescription: String { what }
    }

    @Test(
        "An invalid response head resets its stream and affects no other request", .tags(.H2q),
        arguments: [
            Case(what: "101", sections: [(":status", "101")], message: "status 101, which HTTP/2 does not have"),
            Case(
                what: "an informational head that ends the stream", sections: [(":status", "103")],
                endsStream: true,
                message: "an informational response ended the stream"),
            Case(
                what: "fields within the body that do not end the stream",
                sections: [(":status", "200"), ("x-a", "1")],
                message: "a second head within the response"),
        ])
    func heads(row: Case) async throws {
        let harness = try await HTTP2Harness()
        let broken = try await harness.send(.get("http://a.example/broken"))
        let other = try await harness.send(.get("http://a.example/other"))
        _ = try await harness.frames()
        for (index, section) in row.sections.enumerated() {
            let isLast = row.endsStream && index == row.sections.count - 1
            let flags = HTTP2WireFrame.endHeaders | (isLast ? HTTP2WireFrame.endStream : 0)
            try await harness.receive(
                HTTP2WireFrame(
                    .headers, flags: flags, on: 1, HTTP2WireField.section([.init(section.name, section.value)])))
        }
        let told = try await failure(of: broken)
        #expect(told.code == .protocolViolation)
        #expect(told.progress == .responseStarted)
        #expect(told.message.contains(row.message), "\(told.message)")
        let resets = try await harness.frames().filter { $0.kind == .reset }
        // A stream that both sides have ended is closed: there is nothing to reset.
        #expect(resets.map(\.stream) == (row.endsStream ? [] : [1]))
        try await harness.reply(on: 3)
        #expect(try await other.task.value.status == .ok)
        await harness.finish()
    }

    /// The error that the caller or the reader of the body gets.
    private func failure(
        of call: HTTP2HarnessCall
    ) async throws -> (code: ServiceError.Code, progress: RequestProgress, message: String) {
        if let outcome = await call.error { return (outcome.code, outcome.progress, outcome.message) }
        let response = try await call.task.value
        let error = try await #require(throws: ServiceError.self) { _ = try await response.body.collect(upTo: 1) }
        return (error.code, error.progress, error.message)
    }
}
