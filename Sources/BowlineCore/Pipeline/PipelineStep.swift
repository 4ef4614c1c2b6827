/// One link of a folded pipeline; the last is the transport. A class for each kind, generic over the middleware: a link is
/// asked without a copy of what it holds.
// Safety: immutable: `transport` is Sendable, and the subclass keeps the link that `following` refers to.
class PipelineStep: @unchecked Sendable {
    /// What follows; nil: this is the transport. Kept by the subclass: the way along the links is gone twice for each request,
    /// and should count no references.
    private let following: Unmanaged<PipelineStep>?
    /// The transport, in its link.
    let transport: (any ServiceTransport)?

    fileprivate init(next: PipelineStep?, transport: (any ServiceTransport)? = nil) {
        following = next.map { .passUnretained($0) }
        self.transport = transport
    }

    /// Does what this link does without suspending.
    ///
    /// - Returns: whether it then lets the request go on; false: it has to be run.
    func prepare(_ request: inout ServiceRequest, context: RequestContext) -> Bool { false }

    /// Whether an outcome that comes back passes this link as it is.
    func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool { true }
    func passes(_ error: any Error) -> Bool { true }

    /// Makes another outcome of one that does not pass.
    func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext
    ) async throws -> ServiceResponse {
        try outcome.get()
    }

    /// Runs a link that did not let the request go on; not the transport's.
    func intercept(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        throw ServiceError(.invalidConfiguration, "the pipeline has no transport")
    }
}

extension PipelineStep {
    /// Prepares the request in one link after another.
    ///
    /// - Returns: the first that has to be run.
    final func prepareAll(_ request: inout ServiceRequest, context: RequestContext) -> PipelineStep {
        guard prepare(&request, context: context), let following else { return self }
        return following._withUnsafeGuaranteedRef { $0.prepareAll(&request, context: context) }
    }

    /// Whether the response passes all links from this one to before `end`.
    final func allPass(_ response: ServiceResponse, to request: ServiceRequest, before end: PipelineStep) -> Bool {
        guard self !== end, let following else { return true }
        return passes(response, to: request)
            && following._withUnsafeGuaranteedRef { $0.allPass(response, to: request, before: end) }
    }

    /// The last link before `end` that the outcome does not pass.
    final func innermost(
        before end: PipelineStep, notPassing outcome: Result<ServiceResponse, any Error>, to request: ServiceRequest
    ) -> PipelineStep? {
        var found: PipelineStep?
        var step = self
        while step !== end, let next = step.following?.takeUnretainedValue() {
            let passes =
                switch outcome {
                case .success(let response): step.passes(response, to: request)
                case .failure(let error): step.passes(error)
                }
            if !passes { found = step }
            step = next
        }
        return found
    }
}

// Safety: has nothing but what `PipelineStep` has.
final class TransportStep: PipelineStep, @unchecked Sendable {
    init(_ transport: any ServiceTransport) {
        super.init(next: nil, transport: transport)
    }
}

// Safety: immutable: `middleware` and `rest` are constants of Sendable types; `rest` keeps the link that follows.
class InterceptingStep<Middleware: ServiceMiddleware>: PipelineStep, @unchecked Sendable {
    fileprivate let middleware: Middleware
    fileprivate let rest: Next

    init(_ middleware: Middleware, then next: PipelineStep) {
        self.middleware = middleware
        rest = Next(next)
        super.init(next: next)
    }

    override func intercept(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        try await middleware.intercept(request, context: context, next: rest)
    }
}

// Safety: has nothing but what `InterceptingStep` has.
final class SelectiveStep<Middleware: SelectiveMiddleware>: InterceptingStep<Middleware>, @unchecked Sendable {
    override func prepare(_ request: inout ServiceRequest, context: RequestContext) -> Bool {
        !middleware.concerns(request)
    }
}

// Safety: has nothing but what `InterceptingStep` has.
final class ReactiveStep<Middleware: ReactiveMiddleware>: InterceptingStep<Middleware>, @unchecked Sendable {
    override func prepare(_ request: inout ServiceRequest, context: RequestContext) -> Bool {
        middleware.prepare(&request, context: context)
        return true
    }

    override func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool {
        middleware.passes(response, to: request)
    }

    override func passes(_ error: any Error) -> Bool {
        middleware.passes(error)
    }

    override func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext
    ) async throws -> ServiceResponse {
        try await middleware.react(
            to: outcome, sentBefore: sentBefore, request: request, context: context, next: rest
        )
    }
}
