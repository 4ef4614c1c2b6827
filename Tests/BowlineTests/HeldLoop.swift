import Bowline
import BowlineTesting

extension ServiceClient {
    /// Blocks one of the client's event loops until `gate` is open, then runs `body` on that loop. Bytes that reached
    /// this machine on the loop's connections in the meantime are still unread when `body` begins.
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
