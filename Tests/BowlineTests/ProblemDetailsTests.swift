import Bowline
import BowlineTesting
import Foundation
import Testing

@Suite("What a service says about a failure", .timeLimit(.minutes(1)))
struct ProblemDetailsTests {
    private struct OutOfCredit: Decodable, Equatable {
        var title: String
        var accountBalance: Int
    }

    /// RFC 9457 §3, with members of its own.
    private static let credit = """
        {"type":"https://example.com/probs/out-of-credit","title":"You do not have enough credit.","status":403,
         "detail":"Your current balance is 30, but that costs 50.","instance":"/account/12345/msgs/abc",
         "account_balance":30,"accounts":["/account/12345"]}
        """

    /// The error of a request that gets this answer.
    private static func failure(
        _ answer: StubAnswer, _ configure: (inout ClientConfiguration) -> Void = { _ in }
    ) async throws -> ServiceError {
        let stub = StubTransport()
        stub.on(.get, "/a", always: answer)
        let client = try ServiceClient(baseURL: "https://api.example", transport: stub, configure: configure)
        return try await serviceError { _ = try await client.get("a").expecting(.ok) }
    }

    private static func failure(_ type: String?, _ body: String) async throws -> ServiceError {
        var fields = HTTPFields()
        fields[.contentType] = type
        return try await failure(.respond(.forbidden, fields: fields, body: body))
    }

    @Test("Problem details are read from the error, with the service's own members in a custom type")
    func rfc() async throws {
        let error = try await Self.failure("application/problem+json", Self.credit)
        let problem = try #require(error.problem())
        #expect(problem.type == "https://example.com/probs/out-of-credit")
        #expect(problem.title == "You do not have enough credit.")
        #expect(problem.status == 403)
        #expect(problem.detail == "Your current balance is 30, but that costs 50.")
        #expect(problem.instance == "/account/12345/msgs/abc")
        let answer = StubAnswer.respond(
            .forbidden, fields: [.contentType: "application/problem+json"], body: Self.credit)
        let own = try await Self.failure(answer) {
            let decoder = JSONDecoder.json
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            $0.decoder = decoder
        }
        let wanted = OutOfCredit(title: "You do not have enough credit.", accountBalance: 30)
        #expect(own.problem(as: OutOfCredit.self) == wanted)
        #expect(try own.unexpectedStatus?.decode(OutOfCredit.self) == wanted)
    }

    static let types: [(type: String?, isRead: Bool)] = [
        ("application/problem+json", true), ("Application/Problem+JSON; charset=utf-8", true),
        ("application/json", true),
        ("application/json ;charset=utf-8", true), ("application/vnd.api+json", true),
        ("application/problem+xml", false),
        ("text/html", false), ("text/json; a=+json", false), ("", false), (nil, false),
    ]

    @Test("The media type decides whether a body is problem details", arguments: types)
    func mediaTypes(example: (type: String?, isRead: Bool)) async throws {
        let error = try await Self.failure(example.type, #"{"title":"t"}"#)
        #expect(error.problem() == (example.isRead ? ProblemDetails(title: "t") : nil))
    }

    static let bodies: [(body: String, problem: ProblemDetails?)] = [
        ("{}", ProblemDetails()), (#"{"title":1,"status":"403","detail":[],"instance":null}"#, ProblemDetails()),
        (#"{"type":7,"title":"t","more":{"a":1}}"#, ProblemDetails(title: "t")),
        (#"{"status":404,"detail":"d"}"#, ProblemDetails(status: 404, detail: "d")),
        (#"{"type":"","instance":"/i"}"#, ProblemDetails(type: "", instance: "/i")),
        ("[]", nil), ("\"text\"", nil), ("{", nil), ("", nil),
    ]

    @Test(
        "RFC 9457 §3.1: members of a wrong type and unknown ones are ignored; a body that is no object has no details",
        arguments: bodies)
    func members(example: (body: String, problem: ProblemDetails?)) async throws {
        let error = try await Self.failure("application/problem+json", example.body)
        #expect(error.problem() == example.problem)
    }

    @Test("Other errors have no problem details")
    func otherErrors() {
        #expect(ServiceError(.connectionClosed, "closed").problem() == nil)
        #expect(ServiceError(.connectionClosed, "closed").problem(as: OutOfCredit.self) == nil)
    }

    @Test("A client's decoder that is not for JSON does not read problem details")
    func otherDecoder() async throws {
        struct Refusing: BodyDecoder {
            struct Refused: Error {}
            var contentType: String { "application/cbor" }
            func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value {
                throw Refused()
            }
        }
        let answer = StubAnswer.respond(.conflict, fields: [.contentType: "application/json"], body: #"{"title":"t"}"#)
        let error = try await Self.failure(answer) { $0.decoder = Refusing() }
        #expect(error.problem()?.title == "t")
        let found = try #require(error.unexpectedStatus)
        #expect(throws: ServiceError.self) { try found.decode(ProblemDetails.self) }
        #expect(try found.decode(ProblemDetails.self, using: JSONDecoder.json).title == "t")
    }

    @Test("The error of decoding an unexpected response's body says what is wrong, and shows nothing of the body")
    func decoding() async throws {
        let error = try await Self.failure("text/plain", #"{"title":"canary"}"#)
        let found = try #require(error.unexpectedStatus)
        let wrong = #expect(throws: ServiceError.self) { try found.decode(OutOfCredit.self) }
        #expect(wrong?.code == .decodingFailed)
        #expect(wrong?.progress == .responseStarted)
        #expect(wrong?.message.hasPrefix("cannot decode OutOfCredit: ") == true)
        #expect(wrong?.message.contains("accountBalance") == true)
        #expect(!"\(wrong as Any)".contains("canary"))
    }

    @Test("Over a connection, a body that is cut off or longer than the kept part is an error that says so")
    func truncated() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/whole") { _ in
                .reply(403, fields: [.contentType: "application/problem+json"], body: Self.credit)
            }
            server.route(.get, "/long") { _ in
                let body = #"{"title":"\#(String(repeating: "x", count: 70_000))"}"#
                return .reply(403, fields: [.contentType: "application/problem+json"], body: body)
            }
            try await withServiceClient(server.baseURL) { client in
                let whole = try await serviceError { _ = try await client.get("whole").expecting() }
                #expect(whole.problem()?.status == 403)
                let long = try await serviceError { _ = try await client.get("long").expecting() }
                #expect(long.problem() == nil)
                let found = try #require(long.unexpectedStatus)
                let error = #expect(throws: ServiceError.self) { try found.decode(ProblemDetails.self) }
                #expect(error?.code == .decodingFailed)
                #expect(
                    error?.message
                        == "cannot decode the body of a response with status 403: only its first 65536 bytes were kept")
            }
        }
    }

    @Test("Descriptions show the status and no text")
    func descriptions() {
        let problem = ProblemDetails(
            type: "canary", title: "canary", status: 403, detail: "canary", instance: "canary")
        var dumped = ""
        dump(problem, to: &dumped)
        #expect("\(problem)" == "ProblemDetails(status: 403)")
        #expect("\(ProblemDetails())" == "ProblemDetails()")
        #expect(!(dumped + String(reflecting: problem)).contains("canary"))
    }
}
