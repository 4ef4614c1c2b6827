/// Spaces out the dials that keep `minimumIdle`, when what they make does not last.
///
/// 100 ms at least and 10 s at most, the upper end doubling with each failure in a row; between them the delay is
/// random, so that the clients of a server that comes back do not all dial at once. Dials that a request waits for
/// are not spaced out.
struct RefillBackoff {
    private static var shortest: Duration { .milliseconds(100) }
    private static var longest: Duration { .seconds(10) }

    /// No refill before this. `nil`: at any time.
    private(set) var notBefore: PoolInstant?
    private var failures = 0

    /// A dial failed, or a connection was lost that had never served anybody.
    mutating func recordFailure(now: PoolInstant, random: Double) {
        failures = min(failures + 1, 16)
        let ceiling = min(Self.longest, Self.shortest * (1 << failures))
        notBefore = now.advanced(by: Self.shortest + (ceiling - Self.shortest) * random)
    }

    /// A connection has served a request: the peer is well.
    mutating func reset() {
        failures = 0
        notBefore = nil
    }

    func permits(_ now: PoolInstant) -> Bool {
        notBefore.map { $0 <= now } ?? true
    }
}
