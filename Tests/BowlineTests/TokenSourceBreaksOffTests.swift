import Bowline
import BowlineTesting
import Testing

@Suite("Token sources whose answer breaks off", .timeLimit(.minutes(1)))
struct TokenSourceBreaksOffTests {
    private struct Answer: Decodable {
        var token: String
    }

    @Test("A source's answer that breaks off in its body is retried like one that breaks off before its head")
    func cut() async throws {
        try await withLoopbackServer { identity in
            try await withLoopbackServer { server in
                identity.respond(inOrder: [
                    .bytes("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"tok")
                        .thenClose(),
                    .reply(200, fields: [.contentType: "application/json"], body: #"{"token":"t1"}"#),
                ])
                server.route(.get, "/orders", always: .reply(200, body: "ok"))
                let source = try ServiceClient(baseURL: identity.baseURL) { $0.retry = .never }
                let client = try ServiceClient(baseURL: server.baseURL) {
                    $0.retry.baseDelay = .milliseconds(1)
                    $0.authentication = BearerAuthentication {
                        BearerToken(try await source.post("/token").decode(Answer.self).token)
                    }
                }
                let response = try await client.get("/orders")
                #expect(try await response.text() == "ok")
                #expect(identity.requests.count == 2)
                _ = await client.shutdown(within: .seconds(5))
                _ = await source.shutdown(within: .seconds(5))
            }
        }
    }
}
