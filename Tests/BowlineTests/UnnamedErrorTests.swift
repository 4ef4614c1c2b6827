import Bowline
import BowlineTesting
import Testing

@Suite("Errors of files, redirects and kept bodies name call and response", .timeLimit(.minutes(1)))
struct UnnamedErrorTests {
    private struct User: Codable, Sendable {
        var name: String
    }

    private let stub = StubTransport()

    private func client(_ configure: (inout ClientConfiguration) -> Void = { _ in }) throws -> ServiceClient {
        try ServiceClient(baseURL: "http://api.example", transport: stub, configure: configure)
    }

    @Test("The error of a download whose file cannot be written names call and response")
    func file() async throws {
        stub.on(.get, "/export", always: .respond(fields: [.contentType: "text/csv"], body: "a,b"))
        let client = try client()
        let error = try await serviceError {
            _ = try await client.download("export", to: "/no/such/folder/export.csv") { $0.targetTemplate = "export" }
        }
        #expect(error.code == .fileFailed)
        #expect(error.method == .get)
        #expect(error.target == "export")
        #expect(error.status == .ok)
        #expect(error.mediaType == "text/csv")
    }

    @Test("The error of a refused redirect has the status of the response that asked for it")
    func redirects() async throws {
        stub.on(.get, "/a", always: .respond(.found, fields: [.location: "/a"]))
        let client = try client { $0.redirect.maximum = 1 }
        let error = try await serviceError { _ = try await client.get("a") { $0.targetTemplate = "a" } }
        #expect(error.code == .tooManyRedirects)
        #expect(error.progress == .responseStarted)
        #expect(error.status?.code == 302)
    }

    @Test("The error of decoding an unexpected page of HTML has its status and media type")
    func unexpected() async throws {
        stub.on(.get, "/users", always: .respond(.badGateway, fields: [.contentType: "text/html"], body: "<html>"))
        let client = try client { $0.retry = .never }
        let first = try await serviceError {
            _ = try await client.get("users") { $0.targetTemplate = "users" }.expecting()
        }
        let found = try #require(first.unexpectedStatus)
        let error = try await serviceError { _ = try found.decode(User.self) }
        #expect(error.code == .decodingFailed)
        #expect(error.message == "cannot decode User: the body is not valid JSON: its Content-Type is text/html")
        #expect(error.status?.code == 502)
        #expect(error.mediaType == "text/html")
    }
}
