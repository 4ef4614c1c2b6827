/// What comes after a middleware: the rest of the pipeline. May be kept, sent elsewhere, and called several times.
public struct Next: Sendable {
    /// By reference, so that handing on costs one count.
    private let step: PipelineStep

    init(_ step: PipelineStep) {
        self.step = step
    }

    /// The end of the pipeline.
    package init(_ transport: any ServiceTransport) {
        self.init(TransportStep(transport))
    }

    /// Makes the rest of a pipeline from a closure, for testing a middleware by itself. `send` is its transport.
    ///
    /// ```swift
    /// let next = Next { request, _ in ServiceResponse(status: request.fields.contains(.accept) ? .ok : .notAcceptable) }
    /// let response = try await middleware.intercept(request, context: RequestContext(), next: next)
    /// ```
    /// - Parameter send: Answers one attempt of a request, or throws. Called in the task that calls the pipeline.
    public init(
        _ send:
            @escaping @Sendable (_ request: ServiceRequest, _ context: RequestContext) async throws -> ServiceResponse
    ) {
        self.init(ClosureTransport(answer: send))
    }

    /// Runs the rest of the pipeline. The response's body is then the calling middleware's, until it passes it on.
    ///
    /// - Throws: ``ServiceError``, `CancellationError`, or what a middleware further in throws.
    public func callAsFunction(
        _ request: consuming ServiceRequest, context: RequestContext
    ) async throws -> ServiceResponse {
        let end = step.prepareAll(&request, context: context)
        let sentBefore = context.call.timesSent
        let outcome: Result<ServiceResponse, any Error>
        do {
            let response = try await run(end, request, context: context)
            if step.allPass(response, to: request, before: end) { return response }
            outcome = .success(response)
        } catch {
            guard step !== end else { throw error }
            outcome = .failure(error)
        }
        return try await settle(outcome, of: request, context: context, sentBefore: sentBefore, before: end)
    }

    private func run(
        _ step: PipelineStep, _ request: ServiceRequest, context: RequestContext
    ) async throws -> ServiceResponse {
        guard let transport = step.transport else {
            var response = try await step.intercept(request, context: context)
            response.note(request, of: context.call)
            return response
        }
        context.call.handOver()
        do {
            var response = try await transport.send(request, context: context)
            response.note(request, of: context.call)
            context.call.handBack(response, attempt: context.attempt)
            return response
        } catch {
            throw context.call.handBack(error)
        }
    }

    /// Lets those react whom the outcome does not pass, from the inside out.
    private func settle(
        _ outcome: Result<ServiceResponse, any Error>, of request: ServiceRequest, context: RequestContext,
        sentBefore: Int, before end: PipelineStep
    ) async throws -> ServiceResponse {
        var outcome = outcome
        var end = end
        while let reacting = step.innermost(before: end, notPassing: outcome, to: request) {
            do {
                let response = try await reacting.react(
                    to: outcome, sentBefore: sentBefore, request: request, context: context
                )
                outcome = .success(response)
            } catch {
                outcome = .failure(error)
            }
            end = reacting
        }
        return try outcome.get()
    }

    /// Puts `middleware` in front, its first the outermost. Done once, when a client is made.
    package func wrapped(by middleware: [any ServiceMiddleware]) -> Next {
        middleware.reversed().reduce(self) { $0.behind($1) }
    }

    /// Puts one in front.
    func behind(_ middleware: any ServiceMiddleware) -> Next {
        if let reactive = middleware as? any ReactiveMiddleware { return Next(reacting(reactive)) }
        if let selective = middleware as? any SelectiveMiddleware { return Next(selecting(selective)) }
        return Next(intercepting(middleware))
    }

    // Opens the existential once, so that calls need not.
    private func reacting(_ middleware: some ReactiveMiddleware) -> PipelineStep {
        ReactiveStep(middleware, then: step)
    }

    private func selecting(_ middleware: some SelectiveMiddleware) -> PipelineStep {
        SelectiveStep(middleware, then: step)
    }

    private func intercepting(_ middleware: some ServiceMiddleware) -> PipelineStep {
        InterceptingStep(middleware, then: step)
    }
}

/// A transport that is a closure.
private struct ClosureTransport: ServiceTransport {
    let answer: @Sendable (ServiceRequest, RequestContext) async throws -> ServiceResponse

    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        try await answer(request, context)
    }
}

extension ServiceResponse {
    /// Keeps the URL of the request that it answers, unless a transport or a middleware further in has said another, and how
    /// many requests were sent for the call by now.
    fileprivate mutating func note(_ request: ServiceRequest, of call: CallRecord) {
        if facts.url == nil { facts.url = request.url }
        let requestsSent = call.requestsSent
        if facts.requestsSent != requestsSent { facts.requestsSent = requestsSent }
    }
}
