internal import BowlineCall
public import ServiceLifecycle

extension ServiceClient {
    /// Shuts the client down: refuses new requests, waits for the requests in flight, then closes every connection.
    ///
    /// You may call it any number of times and from any number of tasks. Later calls join the first and get its report.
    /// The earliest deadline applies. At the deadline the remaining requests fail with `forciblyClosed`, and
    /// connections get one more second to close. If the calling task is cancelled, the deadline is now.
    ///
    /// - Parameter limit: How long requests in flight may take to finish, zero or more; nil: `lifecycle.drainTimeout`
    ///   of the configuration (25 s by default).
    @discardableResult
    public func shutdown(within limit: Duration? = nil) async -> ShutdownReport {
        let report = await core.lifecycle.shutdown(within: limit ?? configuration.lifecycle.drainTimeout)
        core.balancers.close()
        return report
    }

    /// A stream of the client's state and the number of calls in flight. The current values come first. The stream ends
    /// when the client is closed. A slow reader may miss states, but never the last one.
    public var shutdownProgress: AsyncStream<ShutdownProgress> {
        core.lifecycle.progress()
    }
}

extension ServiceClient: Service {
    /// Waits until the service group shuts down gracefully or ``shutdown(within:)`` is called, then drains.
    ///
    /// Returns when the drain has ended. If the task is cancelled, requests in flight are cut off. `run` does not
    /// return the report, so it always logs the report: to the client's logger, else to the task's logger, else to a
    /// logger with the label `bowline.client`.
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
