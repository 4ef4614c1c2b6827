import Bowline
import BowlineTesting
import Testing

@testable import BowlineCore

@Suite("The User-Agent field", .timeLimit(.minutes(1)))
struct UserAgentTests {
    /// The `User-Agent` field that the server receives with one request.
    private func received(
        fields: HTTPFields = [:], _ configure: @Sendable (inout ClientConfiguration) -> Void = { _ in }
    ) async throws -> [String] {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL, configure: configure) { client in
                _ = try await client.get("/", fields: fields)
            }
            let request = try #require(server.requests.first)
            return request.fields.filter { $0.name == .userAgent }.map(\.value)
        }
    }

    @Test("A request names bowline and its version, once")
    func usual() async throws {
        #expect(try await received() == ["bowline/\(BowlineVersion.text)"])
    }

    @Test("A request with other fields names them, too")
    func besideOthers() async throws {
        #expect(try await received(fields: [.accept: "text/plain"]) == ["bowline/\(BowlineVersion.text)"])
    }

    @Test("The request's own field wins, then the client's")
    func own() async throws {
        #expect(try await received(fields: [.userAgent: "orders/2"]) == ["orders/2"])
        #expect(try await received { $0.fields = [.userAgent: "orders/3"] } == ["orders/3"])
        #expect(try await received { $0.userAgent = "orders/4 (test)" } == ["orders/4 (test)"])
    }

    @Test("A scoped client names them as well, beside the codings that it understands, once each")
    func scoped() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                _ = try await client.scoped(to: "orders").get("open")
                _ = try await client.scoped(to: "orders").get("open", fields: [.range: "bytes=0-9"])
            }
            let names = server.requests.map { $0.fields.map(\.name.canonicalName).filter { $0 != "host" } }
            #expect(names == [["user-agent", "accept-encoding"], ["range", "user-agent"]])
            #expect(server.requests.map(\.target) == ["/orders/open", "/orders/open"])
        }
    }

    @Test("With nil there is no User-Agent")
    func none() async throws {
        #expect(try await received { $0.userAgent = nil } == [])
    }

    @Test(
        "A text that cannot be a field's value is a configuration problem",
        arguments: ["", "a\r\nb", "é", " a", "a\0"])
    func invalid(text: String) throws {
        #expect(throws: ServiceError.self) { try ServiceClient(baseURL: "http://127.0.0.1") { $0.userAgent = text } }
    }

    @Test("The version is the newest dated one of the changelog; before there is one, 0.1.0-dev")
    func version() throws {
        let dated = try MarkdownDocument("CHANGELOG.md").lines
            .first { $0.hasPrefix("## [") && !$0.hasPrefix("## [Unreleased]") }
        let newest = dated?.dropFirst("## [".count).prefix { $0 != "]" }
        #expect(BowlineVersion.text == newest.map { String($0) } ?? "0.1.0-dev")
    }
}
