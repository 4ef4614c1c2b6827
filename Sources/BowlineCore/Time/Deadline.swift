/// The instant by which a request must have ended, in any phase.
///
/// A request's total timeout sets its deadline. A request also inherits an earlier deadline from the task that sends it
/// (``current``), so that a server's handler can limit all its requests to other services in one place.
public struct Deadline: Hashable, Comparable, Sendable {
    /// When the deadline passes, on the client's clock.
    public let instant: MonotonicInstant

    /// Makes a deadline at an instant of the client's clock.
    public init(_ instant: MonotonicInstant) {
        self.instant = instant
    }

    /// Returns the deadline that lies `duration` from now on `clock`.
    ///
    /// - Parameters:
    ///   - duration: The time from now; with zero or less the deadline has already passed.
    ///   - clock: The clock of the deadline; must be the client's clock.
    public static func after(_ duration: Duration, clock: some ServiceClock = MonotonicClock()) -> Deadline {
        Deadline(clock.now.advanced(by: duration))
    }

    /// The deadline that the current task has inherited; nil: none.
    @TaskLocal public static var current: Deadline?

    /// Runs `operation` with a deadline. Every request sent in `operation` inherits the deadline, unless the request's
    /// own deadline is earlier.
    ///
    /// An earlier deadline of the current task stays in force. The operation itself is not interrupted. Its requests
    /// fail with ``ServiceError/Code/deadlineExceeded`` when the deadline passes.
    public static func with<Result>(
        _ deadline: Deadline,
        isolation: isolated (any Actor)? = #isolation,
        operation: () async throws -> Result
    ) async rethrows -> Result {
        let earliest = current.map { min($0, deadline) } ?? deadline
        return try await $current.withValue(earliest, operation: operation, isolation: isolation)
    }

    /// Whether the left deadline passes first.
    public static func < (left: Deadline, right: Deadline) -> Bool {
        left.instant < right.instant
    }
}
