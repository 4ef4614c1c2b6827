internal import BowlineCore

extension RequestContext {
    /// Waits as `wait` does, for an endpoint of `origin`. A drain ends the wait of a retry and of a hedge, because no
    /// further attempt begins then. The first attempt of a call waits on, because calls that are admitted do.
    ///
    /// - Throws: ``ServiceError`` `noEndpoint` after a drain; the errors of `wait`; `CancellationError`.
    func waitUnlessDraining<Value: Sendable>(
        _ origin: Origin, _ wait: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard attempt > 1 || isHedge else { return try await wait() }
        if let value = try await call.unlessDraining(wait) { return value }
        var failure = ServiceError(
            .noEndpoint, "the client began to shut down while a retry or hedge waited for an endpoint",
            progress: .neverSent, attempts: attempt, origin: origin.description, phase: .pipeline)
        failure.requestsSent = call.requestsSent
        throw failure
    }
}
