import Bowline
import BowlineTesting
import Testing

/// The table under "What middleware throws" in Docs/Retries.md.
@Suite("Errors that middleware throws", .timeLimit(.minutes(1)))
struct ThrownByMiddlewareTests {
    private struct Stop: Error {}

    /// Throws, before it calls `next` or after. Counts its calls.
    private final class Throwing: ServiceMiddleware {
        private let count = Guarded(0)
        private let isAfterSending: Bool
        private let makeError: @Sendable (ServiceError?) -> any Error

        /// - Parameter makeError: Gets the error that `next` threw.
        init(afterSending isAfterSending: Bool = false, _ makeError: @escaping @Sendable (ServiceError?) -> any Error) {
            self.isAfterSending = isAfterSending
            self.makeError = makeError
        }

        var times: Int { count.withLock { $0 } }

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            count.withLock { $0 += 1 }
            guard isAfterSending else { throw makeError(nil) }
            do {
                try await next(request, context: context).body.discard()
            } catch let error as ServiceError {
                throw makeError(error)
            }
            throw makeError(nil)
        }
    }

    private let stub = StubTransport()
    private let asked = Gate()

    private func client(_ answer: RetryAnswer, _ middleware: Throwing, perCall: Bool = false) throws -> ServiceClient {
        let asked = asked
        return try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.random = { 0 }  // no waits
            $0.retry.maximumAttempts = 3
            $0.retry.shouldRetry = { _ in
                asked.open()
                return answer
            }
            if perCall { $0.middleware.perCall = [middleware] } else { $0.middleware.perAttempt = [middleware] }
        }
    }

    private func failure(_ method: HTTPRequest.Method, _ client: ServiceClient) async -> (any Error)? {
        await Requests.failure { try await client.send(ServiceRequest(method: method, "orders")) }
    }

    @Test("A middleware's own ServiceError is not retried, unless shouldRetry says yes")
    func ownError() async throws {
        for (answer, times) in [(RetryAnswer.asUsual, 1), (.no, 1), (.yes, 3)] {
            let middleware = Throwing { _ in ServiceError(.connectionRefused, "its own") }
            let error = await failure(.get, try client(answer, middleware)) as? ServiceError
            #expect(error?.code == .connectionRefused)
            #expect(error?.message == "its own")
            #expect(middleware.times == times, "\(answer)")
        }
        #expect(stub.calls.isEmpty)
    }

    @Test(
        "After a yes, the progress of the attempt decides",
        arguments: [(false, 3, RequestProgress.neverSent), (true, 1, .ambiguous)])
    func ownErrorOfAPost(isAfterSending: Bool, times: Int, progress: RequestProgress) async throws {
        if isAfterSending { stub.on(.post, "/orders", always: .respond(.created)) }
        let middleware = Throwing(afterSending: isAfterSending) { _ in ServiceError(.connectionRefused, "its own") }
        let error = await failure(.post, try client(.yes, middleware)) as? ServiceError
        #expect(middleware.times == times)
        #expect(error?.progress == progress)
        #expect(stub.calls.count == (isAfterSending ? 1 : 0))
    }

    @Test("An error of another type is not retried, and shouldRetry is not asked")
    func anotherType() async throws {
        let middleware = Throwing { _ in Stop() }
        let error = await failure(.get, try client(.yes, middleware))
        #expect(error is Stop)
        #expect(middleware.times == 1)
        #expect(!asked.isOpen)
    }

    @Test("An error of perCall middleware is not retried, and shouldRetry is not asked")
    func perCall() async throws {
        let middleware = Throwing { _ in ServiceError(.connectionRefused, "its own") }
        let error = await failure(.get, try client(.yes, middleware, perCall: true)) as? ServiceError
        #expect(error?.code == .connectionRefused)
        #expect(middleware.times == 1)
        #expect(!asked.isOpen)
    }

    @Test("The transport's error, changed in a copy, is retried like the original")
    func changedCopy() async throws {
        stub.on(.post, "/orders", always: .fail(.connectionRefused, progress: .neverSent))
        let middleware = Throwing(afterSending: true) { error in
            var error = error ?? ServiceError(.invalidRequest, "the stub answered")
            error.message = "changed"
            return error
        }
        let error = await failure(.post, try client(.asUsual, middleware)) as? ServiceError
        #expect(error?.code == .connectionRefused)
        #expect(error?.message == "changed")
        #expect(error?.attempts == 3)
        #expect(middleware.times == 3)
    }
}
