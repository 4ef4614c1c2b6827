import Bowline
import Foundation

/// The recipes of Docs/Cookbook.md about what a client sends; `CookbookSendingTests` runs them.
struct CookbookSending {
    typealias Order = CookbookReading.Order

    func report(_ client: ServiceClient) async throws -> ServiceResponse {
        try await client.get("report") {
            $0.retry.maximumAttempts = 6
            $0.retry.backoff = .exponential(base: .milliseconds(200), maximum: .seconds(10))
            $0.timeouts.attempt = .seconds(5)
            $0.timeouts.total = .seconds(60)
        }
    }

    func status(_ client: ServiceClient) async throws -> ServiceResponse {
        try await client.get("status") { $0.retry = .never }
    }

    /// nil: the order was placed; else why the service refuses it.
    func place(_ order: Order, _ client: ServiceClient) async throws -> ProblemDetails? {
        do {
            _ = try await client.post("orders", json: order).expecting(.created)
            return nil
        } catch let error as ServiceError {
            guard error.unexpectedStatus?.status.kind == .clientError, let problem = error.problem() else {
                throw error
            }
            return problem
        }
    }

    func upload(
        _ path: String, to client: ServiceClient, report: @escaping @Sendable (TransferProgress) -> Void
    ) async throws {
        let backup = try await RequestBody.file(path, contentType: "application/x-tar")
        _ = try await client.put("backups/today", body: backup) {
            $0.timeouts = .streaming
            $0.continueTimeout = .seconds(2)  // a service that refuses the file says so before it is sent
            $0.onUploadProgress = report
        }.expecting()
    }

    struct TokenAnswer: Decodable {
        enum CodingKeys: String, CodingKey {
            case accessToken = "access_token"
            case expiresIn = "expires_in"
        }

        var accessToken: String
        var expiresIn: Int?
    }

    func client(
        of service: String, tokensFrom issuer: String, id: String, secret: String
    ) throws -> ServiceClient {
        let identity = try ServiceClient(baseURL: issuer) {
            $0.authentication = try BasicAuthentication(user: id, password: secret)
            $0.timeouts.total = .seconds(10)
        }
        return try ServiceClient(baseURL: service) {
            $0.authentication = BearerAuthentication {
                let form: QueryItems = ["grant_type": "client_credentials", "scope": "orders"]
                let answer = try await identity.post("token", body: .form(form)) { $0.idempotency = .idempotent }
                    .decode(TokenAnswer.self)
                return BearerToken(answer.accessToken, lifetime: answer.expiresIn.map { Duration.seconds($0) })
            }
        }
    }

    struct SharedSecret: Sendable {
        static let date = HTTPField.Name("X-Date")!
        static let signature = HTTPField.Name("X-Signature")!

        /// The code of text and body in hexadecimal, as `HMAC<SHA256>` of swift-crypto makes it with the secret.
        let code: @Sendable (_ text: String, _ body: ByteBuffer) -> String
        let now: @Sendable () -> Date

        var authentication: SigningAuthentication {
            SigningAuthentication(bodyUpTo: 1 << 20) { request, _, body in
                let date = now().formatted(.iso8601)
                let text = [request.method.rawValue, request.url?.target ?? "", date].joined(separator: "\n")
                request.fields[Self.date] = date
                request.fields[Self.signature] = code(text, body)
            }
        }
    }

    struct SignedToken: Sendable {
        static let signature = HTTPField.Name("X-Signature")!

        let token: @Sendable () async throws -> BearerToken
        let code: @Sendable (_ text: String, _ body: ByteBuffer) -> String

        var authentication: ChainedAuthentication {
            ChainedAuthentication(
                BearerAuthentication(fetch: token),
                SigningAuthentication(bodyUpTo: 1 << 20) { request, _, body in
                    let parts = [
                        request.method.rawValue, request.url?.target ?? "", request.fields[.authorization] ?? "",
                    ]
                    request.fields[Self.signature] = code(parts.joined(separator: "\n"), body)
                })
        }
    }

    protocol BodyDigest {
        mutating func update(_ chunk: ByteBuffer)
        func finish() -> String
    }

    struct ContentSignature: RequestAuthenticator {
        static let contentDigest = HTTPField.Name("X-Amz-Content-Sha256")!

        let digest: @Sendable () -> any BodyDigest
        /// The value of `Authorization` for a request whose other fields are complete.
        let sign: @Sendable (_ request: ServiceRequest, _ contentDigest: String) -> String

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            var running = digest()
            for try await chunk in request.body.chunks { running.update(chunk) }
            let content = running.finish()
            request.fields[Self.contentDigest] = content
            request.fields[.authorization] = sign(request, content)
        }
    }

    struct Webhooks: Sendable {
        struct Event: Codable, Sendable {
            var id: String
            var type: String
        }

        static let signature = HTTPField.Name("X-Signature")!
        static let idempotencyKey = HTTPField.Name("Idempotency-Key")!

        let client: ServiceClient  // of its own: without fields, credentials and middleware of other services
        let code: @Sendable (_ body: ByteBuffer) -> String

        func deliver(_ event: Event, to url: String) async throws {
            let body = try RequestBody.encoded(event, by: client.configuration.encoder)
            let signature = code(body.bytes ?? ByteBuffer())
            let fields: HTTPFields = [Self.signature: signature, Self.idempotencyKey: event.id]
            _ = try await client.post(url, body: body, fields: fields) {
                $0.retry.maximumAttempts = 5
                $0.redirect = .never  // an address that redirects is not the one that was registered
                $0.timeouts.attempt = .seconds(10)
            }.expecting()
        }
    }

    func isAuthentic(_ signature: String, of body: ByteBuffer, code: (ByteBuffer) -> String) -> Bool {
        let (given, expected) = (Array(signature.utf8), Array(code(body).utf8))
        guard given.count == expected.count else { return false }
        // Looks at every byte, so that the time it takes says nothing of where they differ.
        return zip(given, expected).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
