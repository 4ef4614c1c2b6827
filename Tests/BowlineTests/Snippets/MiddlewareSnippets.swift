import Bowline
import Foundation

/// The snippets of Docs/Middleware.md in their order, with the imports that it shows. Nothing here is run.
private enum MiddlewareSnippets {
    static func snippet2() throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.middleware.perCall = [RequestID()]  // perAttempt: one for each attempt
        }
        _ = client
    }

    static func snippet3() async throws {
        struct TokenAnswer: Decodable {
            var accessToken: String
            var expiresIn: Int
        }

        let identity = try ServiceClient(baseURL: "https://login.example.com")
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.authentication = BearerAuthentication {
                let answer = try await identity.post("token").decode(TokenAnswer.self)
                return BearerToken(answer.accessToken, lifetime: .seconds(answer.expiresIn))
            }
            $0.authenticatedOrigins = ["https://files.example.com"]
        }
        _ = client
    }

    struct RotatingKey: RequestAuthenticator {
        static let key = HTTPField.Name("X-API-Key")!

        let current: @Sendable () async throws -> String
        /// Forgets a key that the service refused; whether there can be another.
        let forget: @Sendable (_ key: String?) -> Bool

        func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
            request.fields[Self.key] = try await current()
        }

        /// After a 401. `request` is what was sent, with its credentials.
        func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
            forget(request.fields[Self.key])
        }
    }

    static func snippet5() throws {
        struct InProcess: ServiceTransport {
            let answer: @Sendable (ServiceRequest) async throws -> ServiceResponse

            func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
                try await answer(request)
            }
        }

        let client = try ServiceClient(transport: InProcess { _ in ServiceResponse(status: .noContent) })
        _ = client
    }
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-ID")!
}

struct RequestID: ServiceMiddleware {
    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        var request = request
        request.fields[.requestID] = UUID().uuidString
        let response = try await next(request, context: context)
        print(request.method, response.status, response.attempts)
        return response
    }
}

extension HTTPField.Name {
    static let bodyChecksum = HTTPField.Name("X-Body-Checksum")!
}

struct BodyChecksum: ServiceMiddleware {
    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        guard !request.body.isStream else { return try await next(request, context: context) }
        var sum: UInt32 = 0
        for try await chunk in request.body.chunks {
            for byte in chunk.readableBytesView { sum = sum &* 31 &+ UInt32(byte) }
        }
        var request = request
        request.fields[.bodyChecksum] = String(sum)
        return try await next(request, context: context)
    }
}
