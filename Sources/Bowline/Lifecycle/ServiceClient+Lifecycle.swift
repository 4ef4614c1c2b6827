public import ServiceLifecycle

extension ServiceClient {
    /// Ends the client: refuses new requests, lets those in flight finish, then closes every connection.
    ///
    /// May be called any number of times and from any number of tasks: later calls join the first and get its report;
    /// the earliest deadline wins. At the deadline the remaining requests fail with `forciblyClosed`, and connections get one
    /// more second to close. If the calling task is cancelled, the deadline is now.
    ///
    /// - Parameter limit: How long requests in flight get, zero or more; nil: `lifecycle.drainTimeout` of the
    ///   configuration (25 s by default).
    @discardableResult
    public func shutdown(within limit: Duration? = nil) async -> ShutdownReport {
        await core.lifecycle.shutdown(within: limit ?? configuration.lifecycle.drainTimeout)
    }

    /// The client's state and the number of calls in flight as they change, the current ones first; ends when the
    /// client is closed. A slow reader may miss states, but never the last one.
    public var shutdownProgress: AsyncStream<ShutdownProgress> {
        core.lifecycle.progress()
    }
}

extension ServiceClient: Service {
    /// Waits for a graceful shutdown of the service group, or for ``shutdown(within:)``; then drains.
    ///
    /// Returns only when the drain is over. If the task is cancelled, requests in flight are cut off. `run` does not return the report,
    /// so it always goes to the log: to the client's logger, or else under the label `bowline.client`.
    public func run() async throws {
        await withTaskGroup { group in
            group.addTask { try? await gracefulShutdown() }
            group.addTask {
                for await progress in shutdownProgress where progress.state != .running { return }
            }
            await group.next()
            group.cancelAll()
        }
        core.lifecycle.reportLog.writeUnlessWritten(await shutdown())
    }
}
