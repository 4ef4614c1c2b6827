import BowlineCore
import BowlineTesting

/// Middleware made of a closure.
struct Intercepting: ServiceMiddleware {
    let body: @Sendable (ServiceRequest, RequestContext, Next) async throws -> ServiceResponse

    init(_ body: @escaping @Sendable (ServiceRequest, RequestContext, Next) async throws -> ServiceResponse) {
        self.body = body
    }

    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        try await body(request, context, next)
    }
}

/// The error that `operation` throws, if it is a `ServiceError`.
func serviceError(_ operation: () async throws -> some Any) async -> ServiceError? {
    do {
        _ = try await operation()
        return nil
    } catch {
        return error as? ServiceError
    }
}

/// Notes that a response's body is over.
final class BodyEnd: ResponseBodyObserver {
    let gate = Gate()

    func responseBodyEnded() { gate.open() }
}

/// A value under a lock, for closures that run anywhere.
final class Shared<Value: Sendable>: Sendable {
    private let guarded: Guarded<Value>

    init(_ value: Value) {
        guarded = Guarded(value)
    }

    var value: Value { guarded.withLock { $0 } }

    func change<Result: Sendable>(_ body: @Sendable (inout Value) -> Result) -> Result {
        guarded.withLock { body(&$0) }
    }
}

/// A transport that answers by a closure.
struct ClosureTransport: ServiceTransport {
    let answer: @Sendable () async throws -> ServiceResponse

    init(_ answer: @escaping @Sendable () async throws -> ServiceResponse) {
        self.answer = answer
    }

    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        try await answer()
    }
}
