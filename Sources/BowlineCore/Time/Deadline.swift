/// An instant by which a request has to be over, in any phase.
///
/// A request's total timeout sets its deadline. A request also inherits an earlier deadline from the task that sends it
/// (``current``), so that a server's handler can limit all its requests in one place.
public struct Deadline: Hashable, Comparable, Sendable {
    /// When it passes, on the client's clock.
    public let instant: MonotonicInstant

    /// Makes a deadline at an instant of the client's clock.
    public init(_ instant: MonotonicInstant) {
        self.instant = instant
    }

    /// The deadline that lies `duration` from now on `clock`.
    ///
    /// - Parameters:
    ///   - duration: How long from now; zero or less is a deadline that has passed.
    ///   - clock: The clock it is measured on; must be the client's.
    public static func after(_ duration: Duration, clock: some ServiceClock = MonotonicClock()) -> Deadline {
        Deadline(clock.now.advanced(by: duration))
    }

    /// The deadline that the current task has inherited, if any.
    @TaskLocal public static var current: Deadline?

    /// Runs `operation` with a deadline that every request sent inside inherits, unless its own is earlier.
    ///
    /// An earlier deadline that is already in force stays in force. The operation itself is not interrupted: the
    /// requests in it are, with ``ServiceError/Code/deadlineExceeded``.
    public static func with<Result>(
        _ deadline: Deadline,
        isolation: isolated (any Actor)? = #isolation,
        operation: () async throws -> Result
    ) async rethrows -> Result {
        let earliest = current.map { min($0, deadline) } ?? deadline
        return try await $current.withValue(earliest, operation: operation, isolation: isolation)
    }

    /// Whether the left one passes first.
    public static func < (left: Deadline, right: Deadline) -> Bool {
        left.instant < right.instant
    }
}
