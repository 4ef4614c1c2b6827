import Bowline
import BowlineTesting
import Testing

@Suite("Token sources over sockets", .timeLimit(.minutes(1)))
struct TokenSourceTests {
    private struct Answer: Decodable {
        var token: String
    }

    /// A client whose tokens come from another server, which it asks without retries.
    private func withClient(
        identity answers: [ScriptedReply],
        _ body: (ServiceClient, _ server: LoopbackServer, _ identity: LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer { identity in
            try await withLoopbackServer { server in
                identity.respond(inOrder: answers)
                server.route(.post, "/orders", always: .reply(201, body: "made"))
                let source = try ServiceClient(baseURL: identity.baseURL) { $0.retry = .never }
                let client = try ServiceClient(baseURL: server.baseURL) {
                    $0.retry.baseDelay = .milliseconds(1)
                    $0.authentication = BearerAuthentication {
                        BearerToken(try await source.post("/token").decode(Answer.self).token)
                    }
                }
                try await body(client, server, identity)
                _ = await client.shutdown(within: .seconds(5))
                _ = await source.shutdown(within: .seconds(5))
            }
        }
    }

    private static let token = ScriptedReply.reply(
        200, fields: [.contentType: "application/json"], body: #"{"token":"t1"}"#)

    @Test("A POST waits while its token source is busy or breaks off, and is sent once, with the token")
    func passing() async throws {
        try await withClient(identity: [.reply(503), .nothing.thenClose(), Self.token]) { client, server, identity in
            let response = try await client.post("/orders", body: .text("one"))
            #expect(response.status == .created)
            #expect(try await response.text() == "made")
            #expect(response.attempts == 3)
            #expect(response.requestsSent == 1)
            #expect(identity.requests.map(\.path) == ["/token", "/token", "/token"])
            #expect(server.requests.map { $0.fields[.authorization] } == ["Bearer t1"])
            #expect(server.requests.map(\.bodyText) == ["one"])
        }
    }

    @Test("A source that refuses is asked once: the error contains its answer, and the service gets no request")
    func refusing() async throws {
        try await withClient(identity: [.reply(403, body: "locked"), Self.token]) { client, server, identity in
            let error = try await serviceError { _ = try await client.post("/orders", body: .text("one")) }
            #expect(error.code == .authenticationFailed)
            #expect(error.progress == .neverSent)
            let reason = error.underlying as? ServiceError
            #expect(reason?.unexpectedStatus?.status == .forbidden)
            #expect(reason?.unexpectedStatus?.text == "locked")
            #expect(error.attempts == 1)
            #expect(error.requestsSent == 0)
            #expect(identity.requests.count == 1)
            #expect(server.requests.isEmpty)
        }
    }
}
