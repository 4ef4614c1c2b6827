/// The facts of the attempt that received a response body, for the body's errors.
package struct ResponseAttempt: Sendable {
    private let origin: Origin
    private let number: Int
    private let started: MonotonicInstant
    private let isReused: Bool
    private let clock: any ServiceClock

    /// - Parameters:
    ///   - origin: The request's origin.
    ///   - number: The attempt's number, from 1.
    ///   - started: When the attempt began, on `clock`.
    ///   - isReused: Whether the connection had carried an earlier request.
    ///   - clock: The clock for the elapsed time in errors.
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

    /// Returns `error` with the facts of the attempt.
    func describe(_ error: ServiceError) -> ServiceError {
        var error = error
        error.origin = origin.description
        error.attempts = number
        error.elapsed = started.duration(to: clock.now)
        error.connectionWasReused = isReused
        return error
    }
}
