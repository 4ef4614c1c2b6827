internal import BowlineTransport

extension ServiceClient {
    /// Runs `body`, and the tasks it starts in its scope, on one of the client's event loops.
    ///
    /// A response awaited there costs no hop between threads: use it where requests are many and the work on each
    /// is little. Code on an event loop must not block, and a long computation holds up the loop's connections.
    /// Actors, and functions isolated to one, still run where they belong. To spread tasks over all loops, use
    /// ``eventLoopExecutors``. Over a transport of your own, `body` simply runs.
    ///
    /// - Throws: any error of `body`.
    public func withEventLoopExecutor<Result: Sendable>(
        _ body: @escaping @Sendable @concurrent () async throws -> Result
    ) async throws -> Result {
        guard let executor = core.pooled?.executors.randomElement() else { return try await body() }
        return try await withTaskExecutorPreference(executor, operation: body)
    }

    /// The executors of the client's event loops, for programs that spread tasks over all of them:
    /// `withTaskExecutorPreference(client.eventLoopExecutors[i]) { … }`. Empty for a client over a transport of your
    /// own.
    public var eventLoopExecutors: [any TaskExecutor] {
        core.pooled?.executors ?? []
    }
}
