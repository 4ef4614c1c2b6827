/// A point in time on a clock that never goes back, in whole nanoseconds since an arbitrary start.
///
/// Bowline's deadlines and measured times are of this type. Arithmetic saturates: an instant past the end of the range
/// becomes ``distantFuture`` instead of trapping.
public struct MonotonicInstant: InstantProtocol, Hashable, Sendable {
    /// Swift's `Duration`.
    public typealias Duration = Swift.Duration

    /// The nanoseconds since the clock's start. Only instants of the same clock can be compared.
    public let nanoseconds: Int64

    /// Makes an instant from nanoseconds since the clock's start.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The last instant of the range, which no clock reaches (292 years after its start).
    public static let distantFuture = MonotonicInstant(nanoseconds: .max)

    /// Returns the instant `duration` later (earlier if it is negative), clamped to the range.
    public func advanced(by duration: Swift.Duration) -> MonotonicInstant {
        let (sum, overflowed) = nanoseconds.addingReportingOverflow(duration.saturatingNanoseconds)
        guard overflowed else { return MonotonicInstant(nanoseconds: sum) }
        return MonotonicInstant(nanoseconds: duration < .zero ? .min : .max)
    }

    /// Returns the time from this instant to `other`; negative if `other` is earlier.
    public func duration(to other: MonotonicInstant) -> Swift.Duration {
        let (difference, overflowed) = other.nanoseconds.subtractingReportingOverflow(nanoseconds)
        guard overflowed else { return .nanoseconds(difference) }
        return .nanoseconds(other < self ? Int64.min : Int64.max)
    }

    /// Whether the left instant is earlier.
    public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Duration {
    /// This duration in whole nanoseconds, clamped to the range of an `Int64` (±292 years).
    package var saturatingNanoseconds: Int64 {
        // Most durations are positive and below this bound, and so below 2^63 ns. For them one division is enough, but
        // `components` makes several 128-bit divisions.
        let all = attoseconds
        let (high, low) = (UInt64(truncatingIfNeeded: all >> 64), UInt64(truncatingIfNeeded: all))
        if high < 500_000_000 {
            return Int64(UInt64(1_000_000_000).dividingFullWidth((high, low)).quotient)
        }
        // `components` traps on more seconds than an `Int64` holds.
        if self >= .seconds(Self.mostSeconds) { return .max }
        if self <= .seconds(-Self.mostSeconds) { return .min }
        let (seconds, attoseconds) = components
        let (product, overflowed) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflowed else { return seconds < 0 ? .min : .max }
        let (sum, sumOverflowed) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflowed ? (seconds < 0 ? .min : .max) : sum
    }

    /// The number of whole seconds that fit into an `Int64` of nanoseconds.
    private static let mostSeconds: Int64 = 9_223_372_036

    /// This duration in seconds, for a person to read.
    package var inSeconds: Double {
        Double(saturatingNanoseconds) / 1e9
    }

    /// The text for log lines, for example `50 ms`, `1.2 s` or `25 s`.
    package var logText: String {
        let milliseconds = saturatingNanoseconds / 1_000_000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        return milliseconds < 10_000
            ? "\(milliseconds / 1000).\(milliseconds / 100 % 10) s" : "\(milliseconds / 1000) s"
    }

    /// The text for messages: in milliseconds below ten seconds, else in seconds.
    package var messageText: String {
        let milliseconds = saturatingNanoseconds / 1_000_000
        return milliseconds < 10_000 ? "\(milliseconds) ms" : "\(milliseconds / 1000) s"
    }
}
