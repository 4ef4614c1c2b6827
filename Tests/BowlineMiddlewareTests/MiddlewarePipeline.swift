import BowlineCore
import BowlineTesting

extension StubTransport {
    /// Sends a request through `middleware`, the first the outermost, to this transport.
    func send(
        _ request: ServiceRequest, through middleware: any ServiceMiddleware...,
        context: RequestContext = RequestContext()
    ) async throws -> ServiceResponse {
        var request = request
        request.url = try request.url ?? ServiceURL(request.reference)
        return try await Next(self).wrapped(by: middleware)(request, context: context)
    }
}

/// A behaviour made of a function.
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

/// What `operation` throws, if it is a `ServiceError`.
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
