internal import BowlineTransport

extension ServiceClient {
    /// Runs `body`, and the tasks that it starts in its scope, on one of the client's event loops.
    ///
    /// Code on an event loop gets its responses without a switch between threads. Use it for many requests with little
    /// work on each. Code on an event loop must not block, and a long computation delays the loop's connections. The
    /// main actor, and other actors with an executor of their own, still run on their own executors. To spread tasks
    /// over all loops, use ``eventLoopExecutors``. If the client has a transport of your own, `body` runs without a
    /// change of executor.
    ///
    /// - Throws: any error of `body`.
    public func withEventLoopExecutor<Result: Sendable>(
        _ body: @escaping @Sendable @concurrent () async throws -> Result
    ) async throws -> Result {
        guard let executor = core.pooled?.executors.randomElement() else { return try await body() }
        return try await withTaskExecutorPreference(executor, operation: body)
    }

    /// The executors of the client's event loops, for programs that spread tasks over all of them:
    /// `withTaskExecutorPreference(client.eventLoopExecutors[i]) { … }`. Empty for a client with a transport of your
    /// own.
    public var eventLoopExecutors: [any TaskExecutor] {
        core.pooled?.executors ?? []
    }
}
