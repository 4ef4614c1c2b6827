/// A behaviour that wraps requests: sees each on its way out and each response on its way back.
///
/// Register it `perCall` to run once for what the caller asked, or `perAttempt` to run for each attempt, resends by the
/// transport excepted. A middleware may change the request and the response, answer without calling `next`, or call
/// `next` several times; a request whose body is a one-shot stream can be sent only while `body.isReplayable`.
public protocol ServiceMiddleware: Sendable {
    /// Handles one request.
    ///
    /// Runs in the caller's task, so its cancellation is the caller's, and a drain lets it finish. Whoever does not
    /// pass a response on owns its body: read it, or let it go.
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

/// What comes after a middleware: the rest of the pipeline. May be kept, sent elsewhere, and called several times.
public struct Next: Sendable {
    private enum Target: Sendable {
        case middleware(any ServiceMiddleware, then: Link)
        case transport(any ServiceTransport)
    }

    private final class Link: Sendable {
        let next: Next

        init(_ next: Next) {
            self.next = next
        }
    }

    private let target: Target

    /// The end of the pipeline.
    package init(_ transport: any ServiceTransport) {
        target = .transport(transport)
    }

    private init(_ middleware: any ServiceMiddleware, then next: Next) {
        target = .middleware(middleware, then: Link(next))
    }

    /// Runs the rest of the pipeline. The response's body is then the calling middleware's, until it passes it on.
    ///
    /// - Throws: ``ServiceError``, `CancellationError`, or what a middleware further in throws.
    public func callAsFunction(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        switch target {
        case .transport(let transport):
            return try await transport.send(request, context: context)
        case .middleware(let middleware, let link):
            return try await middleware.intercept(request, context: context, next: link.next)
        }
    }

    /// Puts `middleware` in front, its first the outermost. Done once, when a client is made.
    package func wrapped(by middleware: [any ServiceMiddleware]) -> Next {
        middleware.reversed().reduce(self) { Next($1, then: $0) }
    }
}
