/// A point in time of a clock that never goes back, in whole nanoseconds since an arbitrary start.
///
/// Every deadline and every measured phase of Bowline is one of these. Arithmetic saturates: an instant that would lie
/// past the representable range becomes ``distantFuture`` instead of trapping.
public struct MonotonicInstant: InstantProtocol, Hashable, Sendable {
    /// Swift's own.
    public typealias Duration = Swift.Duration

    /// Nanoseconds since the clock's start; comparable only between instants of the same clock.
    public let nanoseconds: Int64

    /// Makes an instant from nanoseconds since the clock's start.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// An instant later than any that a clock will reach (292 years after its start).
    public static let distantFuture = MonotonicInstant(nanoseconds: .max)

    /// The instant `duration` later (earlier, if negative), saturating at the ends of the range.
    public func advanced(by duration: Swift.Duration) -> MonotonicInstant {
        let (sum, overflowed) = nanoseconds.addingReportingOverflow(duration.saturatingNanoseconds)
        guard overflowed else { return MonotonicInstant(nanoseconds: sum) }
        return MonotonicInstant(nanoseconds: duration < .zero ? .min : .max)
    }

    /// The time from this instant to `other`; negative if `other` is earlier.
    public func duration(to other: MonotonicInstant) -> Swift.Duration {
        let (difference, overflowed) = other.nanoseconds.subtractingReportingOverflow(nanoseconds)
        guard overflowed else { return .nanoseconds(difference) }
        return .nanoseconds(other < self ? Int64.min : Int64.max)
    }

    /// Whether the left one is earlier.
    public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Duration {
    /// This duration in whole nanoseconds, clamped to the range of an `Int64` (±292 years).
    package var saturatingNanoseconds: Int64 {
        // Most are positive, and below 2^63 ns by this bound: one division, where `components` makes several of 128 bits.
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

    /// The whole seconds in an `Int64` of nanoseconds.
    private static let mostSeconds: Int64 = 9_223_372_036

    /// This duration as seconds, for a person to read.
    package var inSeconds: Double {
        Double(saturatingNanoseconds) / 1e9
    }

    /// For log lines: `50 ms`, `1.2 s`, `25 s`.
    package var spoken: String {
        let milliseconds = saturatingNanoseconds / 1_000_000
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        return milliseconds < 10_000
            ? "\(milliseconds / 1000).\(milliseconds / 100 % 10) s" : "\(milliseconds / 1000) s"
    }

    /// For messages: milliseconds below ten seconds, else seconds.
    package var readable: String {
        let milliseconds = saturatingNanoseconds / 1_000_000
        return milliseconds < 10_000 ? "\(milliseconds) ms" : "\(milliseconds / 1000) s"
    }
}
