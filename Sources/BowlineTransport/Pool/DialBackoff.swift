internal import BowlineCore

/// The delay between dials that may fail again. Used for dials for `minimumIdle` whose connections do not last, and for
/// dials after this machine had no descriptor or port left.
///
/// The delay is random between 100 ms and an upper end, so that the clients of a server that recovers do not all dial
/// at once. The upper end doubles with each failure in a row, to 10 s at most. All other dials for waiting requests
/// begin without a delay.
struct DialBackoff {
    private static var shortest: Duration { .milliseconds(100) }
    private static var longest: Duration { .seconds(10) }

    /// The earliest instant of the next dial. `nil`: at any time.
    private(set) var notBefore: MonotonicInstant?
    private var failures = 0
    private static var mostFailures: Int { 16 }

    /// Records that a dial failed, or that a connection was lost before it had served a request.
    mutating func recordFailure(now: MonotonicInstant, random: Double) {
        failures = min(failures + 1, Self.mostFailures)
        let ceiling = min(Self.longest, Self.shortest * (1 << failures))
        notBefore = now.advanced(by: Self.shortest + (ceiling - Self.shortest) * random)
    }

    /// Permits a dial at once: the missing resource may be available now.
    mutating func permit() {
        if isActive { notBefore = MonotonicInstant(nanoseconds: .min) }
    }

    /// Makes the delay after the next failure short again. A delay that runs goes on.
    mutating func forgive() {
        failures = 0
    }

    /// Ends the backoff after a success.
    mutating func reset() {
        failures = 0
        notBefore = nil
    }

    /// Whether so many dials have failed in a row that a pool kept only for `minimumIdle` may be removed.
    var isHopeless: Bool { failures == Self.mostFailures }

    /// Whether there has been a failure since the last success.
    var isActive: Bool { notBefore != nil }

    func permits(_ now: MonotonicInstant) -> Bool {
        notBefore.map { $0 <= now } ?? true
    }
}
