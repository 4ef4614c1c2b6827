/// The attempt that brought a response body: what the body's own errors say about it.
package struct ResponseAttempt: Sendable {
    private let origin: Origin
    private let number: Int
    private let started: MonotonicInstant
    private let isReused: Bool
    private let clock: any ServiceClock

    /// - Parameters:
    ///   - origin: Whom the request was for.
    ///   - number: Which attempt it was, from 1.
    ///   - started: When it began, on `clock`.
    ///   - isReused: Whether its connection had carried a request before.
    ///   - clock: What the errors' elapsed time is measured on.
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

    /// `error` with what is known about the attempt.
    func describe(_ error: ServiceError) -> ServiceError {
        var error = error
        error.origin = origin.description
        error.attempts = number
        error.elapsed = started.duration(to: clock.now)
        error.connectionWasReused = isReused
        return error
    }
}
