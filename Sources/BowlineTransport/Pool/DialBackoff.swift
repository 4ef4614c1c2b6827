internal import BowlineCore

/// Spaces out dials that may fail again: those that keep `minimumIdle`, when what they make does not last, and those after
/// a dial for which this machine had no descriptor or port left.
///
/// 100 ms at least and 10 s at most, the upper end doubling with each failure in a row; between them the delay is
/// random, so that the clients of a server that comes back do not all dial at once. Other dials that a request waits for
/// are not spaced out.
struct DialBackoff {
    private static var shortest: Duration { .milliseconds(100) }
    private static var longest: Duration { .seconds(10) }

    /// No dial before this. `nil`: at any time.
    private(set) var notBefore: MonotonicInstant?
    private var failures = 0
    private static var mostFailures: Int { 16 }

    /// A dial failed, or a connection was lost that had never served a request.
    mutating func recordFailure(now: MonotonicInstant, random: Double) {
        failures = min(failures + 1, Self.mostFailures)
        let ceiling = min(Self.longest, Self.shortest * (1 << failures))
        notBefore = now.advanced(by: Self.shortest + (ceiling - Self.shortest) * random)
    }

    /// There is a reason to try at once: what was missing may be there now.
    mutating func permit() {
        if isActive { notBefore = MonotonicInstant(nanoseconds: .min) }
    }

    /// It works again.
    mutating func reset() {
        failures = 0
        notBefore = nil
    }

    /// Whether it has failed so often in a row that a pool may be given up that only its `minimumIdle` keeps.
    var isHopeless: Bool { failures == Self.mostFailures }

    /// Whether there has been a failure since it last worked.
    var isActive: Bool { notBefore != nil }

    func permits(_ now: MonotonicInstant) -> Bool {
        notBefore.map { $0 <= now } ?? true
    }
}
