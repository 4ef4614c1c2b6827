import BowlineCore
import BowlineTesting
import Logging
import Testing

@testable import BowlineCall

@Suite("Logging", .timeLimit(.minutes(1)))
struct LoggingTests {
    private let log = CollectedLog()
    private let stub = StubTransport()

    private func send(_ logger: Logger?, attempt: Int = 1) async throws -> ServiceResponse {
        var request = ServiceRequest.get("/users?token=canary")
        request.fields[.authorization] = "Bearer canary"
        request.url = try ServiceURL("https://api.example.com").appending(request.reference)
        let next = try TestRoad { $0.logger = logger }.over(stub)
        return try await next(request, context: RequestContext(attempt: attempt))
    }

    @Test("An attempt that ends with a response is logged at trace and debug, with its values in the metadata")
    func response() async throws {
        stub.on(.get, "/users", inOrder: [.respond(.notFound)])
        _ = try await send(log.logger(), attempt: 2)
        #expect(log.lines.map(\.level) == [.trace, .debug])
        #expect(log.lines.map(\.message) == ["attempt begins", "attempt ended with a response"])
        let expected = [
            "http.request.method": "GET", "server.address": "https://api.example.com:443",
            "bowline.target": "/users", "bowline.attempt": "2",
        ]
        #expect(log.lines.first?.metadata == expected)
        #expect(log.lines.last?.metadata == expected.merging(["http.response.status_code": "404"]) { $1 })
    }

    @Test("A failed attempt is logged at info with its code; a cancelled attempt is logged at debug")
    func failures() async throws {
        stub.on(
            .get, "/users",
            inOrder: [
                .fail(.connectionClosed, progress: .ambiguous, message: "canary"),
                .respond { _ in throw CancellationError() },
            ])
        for _ in 1...2 { await #expect(throws: (any Error).self) { try await send(log.logger(.debug)) } }
        #expect(log.lines.map(\.level) == [.info, .debug])
        #expect(log.lines.map(\.message) == ["attempt failed", "attempt cancelled"])
        #expect(log.lines.first?.metadata["error.type"] == "connectionClosed")
        #expect(log.lines.first?.metadata["bowline.progress"] == "ambiguous")
        #expect(!"\(log.lines)".contains("canary"))
    }

    @Test("Lines go to the client's logger, or else to the task's; without either there are none")
    func whereTo() async throws {
        stub.on(.get, "/users", inOrder: [.respond(.ok)], repeatsLast: true)
        let other = CollectedLog()
        _ = try await send(nil)
        #expect(log.lines.isEmpty)
        try await withLogger(log.logger()) { _ in
            _ = try await send(nil)
            #expect(log.lines.count == 2)
            _ = try await send(other.logger())
        }
        #expect(log.lines.count == 2)
        #expect(other.lines.count == 2)
    }

    @Test("Lines below the logger's level are not built", arguments: [Logger.Level.info, .error])
    func level(_ level: Logger.Level) async throws {
        stub.on(.get, "/users", inOrder: [.respond(.ok)])
        _ = try await send(log.logger(level))
        #expect(log.lines.isEmpty)
    }
}
