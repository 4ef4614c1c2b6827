import Bowline
import BowlineTesting

extension ServiceClient {
    /// Runs `body` on one of the client's event loops after having held that loop until `gate` was open: what has
    /// reached this machine meanwhile on the loop's connections nobody has read when `body` begins.
    ///
    /// The servers involved need an event loop group of their own.
    func afterHoldingLoop<Success: Sendable>(
        until gate: Gate, thenRun body: @escaping @Sendable () async throws -> Success,
        whileHeld release: @escaping @Sendable () -> Void
    ) async throws -> Success {
        let loop = eventLoopExecutors[0]
        return try await withTaskExecutorPreference(loop) {
            // From here to the first suspension in `body` the loop runs nothing else.
            release()
            let limit = ContinuousClock.now + .seconds(10)
            while !gate.isOpen, ContinuousClock.now < limit {}
            return try await body()
        }
    }
}
