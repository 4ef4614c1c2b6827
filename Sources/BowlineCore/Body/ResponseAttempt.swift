/// The attempt that brought a response body, as the body's own errors describe it.
package struct ResponseAttempt: Sendable {
    private let origin: Origin
    private let number: Int
    private let started: MonotonicInstant
    private let isReused: Bool
    private let clock: any ServiceClock

    /// - Parameters:
    ///   - origin: The request's origin.
    ///   - number: Which attempt it was, from 1.
    ///   - started: When it began, on `clock`.
    ///   - isReused: Whether its connection had carried a request before.
    ///   - clock: The clock of the errors' elapsed time.
    package init(
        origin: Origin, number: Int, started: MonotonicInstant, isReused: Bool,
        clock: any ServiceClock
    ) {
        self.origin = origin
        self.number = number
        self.started = started
        self.isReused = isReused
        self.clock = clock
    }

    /// `error` with the facts of the attempt.
    func describe(_ error: ServiceError) -> ServiceError {
        var error = error
        error.origin = origin.description
        error.attempts = number
        error.elapsed = started.duration(to: clock.now)
        error.connectionWasReused = isReused
        return error
    }
}
