internal import BowlineCore

/// Counts frames of one kind in periods of 30 s. A period begins with the first frame after the previous period.
struct HTTP2FloodMeter: Sendable {
    /// The length of a period in nanoseconds.
    private static let period: Int64 = 30_000_000_000

    private let limit: Int
    private let violation: HTTP2Violation
    private var count = 0
    private var beganAt: MonotonicInstant?

    /// - Parameters:
    ///   - limit: How many frames one period allows.
    ///   - what: The text of the violation if the peer sends more.
    init(limit: Int, _ what: StaticString) {
        self.limit = limit
        violation = HTTP2Violation(.enhanceYourCalm, .connection, what, rule: "RFC 9113 §10.5")
    }

    /// Counts one more frame.
    mutating func add(now: MonotonicInstant) throws(HTTP2Violation) {
        // Wrapping subtraction: two instants of one clock are never 292 years apart.
        if let beganAt, now.nanoseconds &- beganAt.nanoseconds < Self.period {
            count += 1
        } else {
            beganAt = now
            count = 1
        }
        guard count <= limit else { throw violation }
    }
}
