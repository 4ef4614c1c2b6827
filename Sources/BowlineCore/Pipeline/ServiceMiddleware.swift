/// A behaviour that wraps requests: sees each on its way out and each response on its way back.
///
/// Register it `perCall` to run once for what the caller asked, or `perAttempt` to run for each attempt, resends by the
/// transport excepted. A middleware may change the request and the response, answer without calling `next`, or call
/// `next` several times; a request whose body is a one-shot stream can be sent only while `body.isReplayable`.
public protocol ServiceMiddleware: Sendable {
    /// Handles one request.
    ///
    /// Runs in the caller's task or a child of it, so the caller's cancellation is its own, and a drain lets it finish. When
    /// the request's deadline or a shutdown's passes, it is cancelled; what it makes of that is the call's outcome. Whoever
    /// does not pass a response on owns its body: read it, or let it go.
    ///
    /// - Parameters:
    ///   - request: What is asked; its `url` is set.
    ///   - context: Deadline, limits and attempt. Pass it on, or a changed copy.
    ///   - next: The rest of the pipeline; call it with the request and the context.
    /// - Returns: the response that the caller, or the middleware outside, gets.
    /// - Throws: anything; what it throws reaches the caller (or the middleware outside it).
    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse
}

/// A middleware that can tell by a look at the request that it has nothing to do: it is then passed over, at a tenth of
/// what a call costs that only hands on.
package protocol SelectiveMiddleware: ServiceMiddleware {
    /// Whether `intercept` would do more than call `next`.
    func concerns(_ request: ServiceRequest) -> Bool
}

/// What comes after a middleware: the rest of the pipeline. May be kept, sent elsewhere, and called several times.
public struct Next: Sendable {
    private enum Kind: Sendable {
        case transport(any ServiceTransport)
        case middleware(any ServiceMiddleware, then: Next)
        case selective(any SelectiveMiddleware, then: Next)
    }

    /// By reference, so that handing on costs one count.
    private final class Step: Sendable {
        let kind: Kind

        init(_ kind: Kind) {
            self.kind = kind
        }
    }

    private let step: Step

    private init(_ kind: Kind) {
        step = Step(kind)
    }

    /// The end of the pipeline.
    package init(_ transport: any ServiceTransport) {
        self.init(.transport(transport))
    }

    private init(_ middleware: any ServiceMiddleware, then next: Next) {
        let selective = middleware as? any SelectiveMiddleware
        self.init(selective.map { .selective($0, then: next) } ?? .middleware(middleware, then: next))
    }

    /// Runs the rest of the pipeline. The response's body is then the calling middleware's, until it passes it on.
    ///
    /// - Throws: ``ServiceError``, `CancellationError`, or what a middleware further in throws.
    public func callAsFunction(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        var step = step
        while case .selective(let middleware, let next) = step.kind, !middleware.concerns(request) { step = next.step }
        switch step.kind {
        case .transport(let transport):
            context.call.handOver()
            do {
                let response = try await transport.send(request, context: context)
                context.call.handBack(response, attempt: context.attempt)
                return response
            } catch {
                throw context.call.handBack(error)
            }
        case .middleware(let middleware, let next):
            return try await middleware.intercept(request, context: context, next: next)
        case .selective(let middleware, let next):
            return try await middleware.intercept(request, context: context, next: next)
        }
    }

    /// Puts `middleware` in front, its first the outermost. Done once, when a client is made.
    package func wrapped(by middleware: [any ServiceMiddleware]) -> Next {
        middleware.reversed().reduce(self) { Next($1, then: $0) }
    }
}
