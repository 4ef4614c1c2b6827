/// The rest of the chain after a middleware, down to the service. May be kept, called in another task, and called
/// several times.
public struct Next: Sendable {
    private let handler: any RequestHandler

    /// Makes a `Next` that calls `handler`.
    package init(_ handler: any RequestHandler) {
        self.handler = handler
    }

    /// Makes a `Next` from a closure, to test a middleware without a client.
    ///
    /// ```swift
    /// let next = Next { request, _ in ServiceResponse(status: request.fields.contains(.accept) ? .ok : .notAcceptable) }
    /// let response = try await middleware.intercept(request, context: RequestContext(), next: next)
    /// ```
    /// - Parameter send: Returns the response to one attempt of a request, or throws. Called in the task that calls
    ///   `next`.
    public init(
        _ send:
            @escaping @Sendable (_ request: ServiceRequest, _ context: RequestContext) async throws -> ServiceResponse
    ) {
        self.init(ClosureHandler(answer: send))
    }

    /// Passes a request to the rest of the chain. The calling middleware owns the response's body until it returns the
    /// response.
    ///
    /// - Throws: ``ServiceError``, `CancellationError`, or any error of an inner middleware.
    public func callAsFunction(
        _ request: consuming ServiceRequest, context: RequestContext
    ) async throws -> ServiceResponse {
        try await handler.handle(request, context: context)
    }

    /// Puts `middleware` in front; the first is the outermost. Called once, when a client is made.
    package func wrapped(by middleware: [any ServiceMiddleware]) -> Next {
        middleware.reversed().reduce(self) { Next(MiddlewareHandler(middleware: $1, next: $0)) }
    }
}

/// A link of the chain that handles a request: a middleware with the links after it, the executor, or the innermost
/// part of an attempt.
package protocol RequestHandler: Sendable {
    /// Handles one request. The caller owns the response's body.
    func handle(
        _ request: consuming ServiceRequest, context: consuming RequestContext
    ) async throws -> ServiceResponse
}

/// One middleware, and the rest of the chain after it.
private struct MiddlewareHandler: RequestHandler {
    let middleware: any ServiceMiddleware
    let next: Next

    func handle(
        _ request: consuming ServiceRequest, context: consuming RequestContext
    ) async throws -> ServiceResponse {
        let (request, context) = (request, context)
        var response = try await middleware.intercept(request, context: context, next: next)
        response.note(request, of: context.call)
        return response
    }
}

/// The end of a chain for tests: a closure that returns the response.
private struct ClosureHandler: RequestHandler {
    let answer: @Sendable (ServiceRequest, RequestContext) async throws -> ServiceResponse

    func handle(
        _ request: consuming ServiceRequest, context: consuming RequestContext
    ) async throws -> ServiceResponse {
        let (request, context) = (request, context)
        context.call.transportBegan()
        do {
            var response = try await answer(request, context)
            response.note(request, of: context.call)
            context.call.transportAnswered(response, attempt: context.attempt)
            return response
        } catch {
            throw context.call.transportFailed(error)
        }
    }
}
