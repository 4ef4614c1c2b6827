import BowlineTesting
import NIOCore
import Testing

@testable import Bowline

@Suite("Errors name the call and the response", .timeLimit(.minutes(1)))
struct ErrorNamingTests {
    private struct User: Codable, Sendable {
        var name: String
    }

    private struct Broken: Encodable {
        func encode(to encoder: any Encoder) throws {
            throw EncodingError.invalidValue(1, .init(codingPath: [], debugDescription: "canary"))
        }
    }

    /// How a call can fail, and what its error says about the response.
    struct Failure: CustomStringConvertible, Sendable {
        let description: String
        let reply: ScriptedReply
        let code: ServiceError.Code
        var status: Int?
        var mediaType: String?
        var read: @Sendable (ServiceResponse) async throws -> Void = { _ = try await $0.collect(upTo: 100) }
    }

    private static let cut =
        "HTTP/1.1 200 OK\r\nContent-Type: Application/X-NDJSON ; a=canary\r\nContent-Length: 9\r\n\r\n{}\n"

    static let failures: [Failure] = [
        Failure(description: "no head", reply: .close, code: .connectionClosed),
        Failure(description: "garbage", reply: .bytes("garbage\r\n\r\n").thenStall(), code: .protocolViolation),
        Failure(
            description: "half a body", reply: .bytes(cut).thenClose(), code: .incompleteBody, status: 200,
            mediaType: "application/x-ndjson"),
        Failure(
            description: "half a body, by chunks", reply: .bytes(cut).thenClose(), code: .incompleteBody, status: 200,
            mediaType: "application/x-ndjson", read: { for try await _ in $0.body {} }),
        Failure(
            description: "half a body, by lines", reply: .bytes(cut).thenClose(), code: .incompleteBody, status: 200,
            mediaType: "application/x-ndjson", read: { for try await _ in $0.body.lines() {} }),
        Failure(
            description: "a line that cannot be decoded",
            reply: .reply(200, fields: [.contentType: "application/x-ndjson"], body: "{}\n"), code: .decodingFailed,
            status: 200, mediaType: "application/x-ndjson",
            read: { for try await _ in $0.body.decodeLines(of: User.self) {} }),
        Failure(
            description: "too large", reply: .reply(200, body: "0123456789"), code: .bodyTooLarge, status: 200,
            read: { _ = try await $0.collect(upTo: 5) }),
        Failure(
            description: "read twice", reply: .reply(201, body: "0123456789"), code: .bodyAlreadyConsumed, status: 201,
            read: {
                _ = try await $0.collect(upTo: 10)
                _ = try await $0.collect(upTo: 10)
            }),
        Failure(
            description: "unexpected",
            reply: .reply(404, fields: [.contentType: "Text/HTML; charset=utf-8"], body: "canary"),
            code: .unexpectedStatus, status: 404, mediaType: "text/html", read: { _ = try await $0.expecting() }),
        Failure(
            description: "a page of HTML",
            reply: .reply(200, fields: [.contentType: "text/html;charset=canary"], body: "<canary>"),
            code: .decodingFailed, status: 200, mediaType: "text/html",
            read: { _ = try await $0.decode(User.self) }),
        Failure(
            description: "a media type that is none",
            reply: .reply(200, fields: [.contentType: "canary canary/x"], body: "{}"), code: .decodingFailed,
            status: 200,
            read: { _ = try await $0.decode(User.self) }),
    ]

    @Test(
        "Every error contains method and template, and status and media type if there was a response",
        arguments: failures)
    func named(failure: Failure) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in failure.reply }
            try await withServiceClient(server.baseURL, configure: { $0.retry = .never }) { client in
                let error = try await serviceError {
                    let response = try await client.post("users/canary?token=canary", body: .text("x")) {
                        $0.targetTemplate = "users/{id}"
                    }
                    try await failure.read(response)
                }
                #expect(error.code == failure.code)
                #expect(error.method == .post)
                #expect(error.target == "users/{id}")
                #expect(error.status?.code == failure.status)
                #expect(error.mediaType == failure.mediaType)
                let text = "\(error)"
                #expect(text.contains("(POST users/{id}, "))
                let response = failure.status.map { "status: \($0)" + (failure.mediaType.map { " " + $0 } ?? "") + "," }
                #expect(text.contains(response ?? "(POST users/{id}, progress: "), "\(text)")
                #expect(!"\(error)\(String(reflecting: error))".contains("canary"))
            }
        }
    }

    @Test("The error of a body that is not JSON names its media type")
    func whatItIsInstead() async throws {
        let examples: [(type: String?, message: String)] = [
            (
                "text/html; charset=utf-8",
                "cannot decode User: the body is not valid JSON: its Content-Type is text/html"
            ),
            ("application/json", "cannot decode User: the body is not valid JSON"),
            (nil, "cannot decode User: the body is not valid JSON"),
        ]
        for (type, message) in examples {
            let stub = StubTransport()
            stub.on(.get, "/", always: .respond(fields: type.map { [.contentType: $0] } ?? [:], body: "<html>"))
            let client = try ServiceClient(baseURL: "http://example.com", transport: stub)
            let error = try await serviceError { _ = try await client.get("").decode(User.self) }
            #expect(error.message == message)
        }
    }

    @Test("Without a template the error contains no path, unless the user asks for it, and never the query")
    func paths() async throws {
        for isAskedFor in [false, true] {
            try await withLoopbackServer { server in
                server.respond { _ in .close }
                let configure: (inout ClientConfiguration) -> Void = {
                    $0.retry = .never
                    $0.telemetry.namesPathsInErrors = isAskedFor
                }
                try await withServiceClient(server.baseURL, configure: configure) { client in
                    let error = try await serviceError { _ = try await client.get("users/7?token=canary") }
                    #expect(error.method == .get)
                    #expect(error.target == (isAskedFor ? "/users/7" : nil))
                    #expect("\(error)".contains(isAskedFor ? "(GET /users/7, " : "(GET, "))
                    #expect(!"\(error)".contains("canary"))
                }
            }
        }
    }

    @Test("An error before anything is sent names the call, too")
    func beforeSending() async throws {
        let stub = StubTransport()
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub)
        let options: ServiceClient.OptionsChange = { $0.targetTemplate = "things" }
        let put = Endpoint<Int, Void>(.put, "things/{id}")

        var errors: [ServiceError] = []
        errors.append(try await serviceError { _ = try await client.put("ftp://example.com/x", options: options) })
        errors.append(try await serviceError { _ = try await client.put("things", json: Broken(), options: options) })
        errors.append(try await serviceError { _ = try await client.call(put, 7) })
        await client.shutdown()
        errors.append(try await serviceError { _ = try await client.put("things", options: options) })

        #expect(errors.map(\.code) == [.invalidURL, .encodingFailed, .invalidRequest, .shuttingDown])
        #expect(errors.map(\.method) == [.put, .put, .put, .put])
        #expect(errors.map(\.target) == ["things", "things", "things/{id}", "things"])
        #expect(errors.allSatisfy { $0.status == nil && $0.mediaType == nil })
        #expect(stub.calls.isEmpty)
    }

    /// Calls another service first, and fails with that call's error.
    private struct AsksFirst: ServiceMiddleware {
        let other: ServiceClient

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            _ = try await other.delete("permits") { $0.targetTemplate = "permits" }.expecting()
            return try await next(request, context: context)
        }
    }

    @Test("An error of another call that middleware passes on keeps the other call's name")
    func otherCall() async throws {
        let stub = StubTransport()
        stub.on(nil, "/permits", always: .respond(.forbidden))
        let other = try ServiceClient(baseURL: "http://permits.example", transport: stub)
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub) {
            $0.middleware.perCall = [AsksFirst(other: other)]
        }
        let error = try await serviceError { _ = try await client.get("things") { $0.targetTemplate = "things" } }
        #expect(error.method == .delete)
        #expect(error.target == "permits")
        #expect(error.status == .forbidden)
        #expect(stub.calls.count == 1)
    }

    @Test("Long or odd names are cut and escaped in descriptions")
    func bounded() throws {
        var error = ServiceError(.connectionClosed, "x")
        error.method = .get
        error.target = "a\nb" + String(repeating: "x", count: 1000)
        error.mediaType = String(repeating: "y", count: 1000)
        error.status = .ok
        let text = "\(error)"
        #expect(text.contains(#"GET a\u{a}bxxx"#))
        #expect(text.utf8.count < 1000)
    }

    @Test(
        "A media type is two tokens, in lower case, without parameters",
        arguments: [
            ("text/html", "text/html"), ("Text/HTML;charset=utf-8", "text/html"),
            (" \ttext/plain \t; a=b", "text/plain"),
            ("application/problem+json", "application/problem+json"),
            ("application/vnd.x-1.0+json", "application/vnd.x-1.0+json"),
            ("", nil), ("text", nil), ("/", nil), ("text/", nil), ("/html", nil), ("text/html/x", nil),
            ("te xt/html", nil),
            ("text/ht\u{e9}ml", nil), (";text/html", nil), ("text/html, text/plain", nil), ("text/(html)", nil),
        ] as [(String, String?)])
    func mediaTypes(contentType: String, name: String?) {
        #expect(MediaType.name(of: contentType) == name)
        #expect(MediaType.name(of: String(repeating: "x", count: 200) + "/y") == nil)
    }
}
