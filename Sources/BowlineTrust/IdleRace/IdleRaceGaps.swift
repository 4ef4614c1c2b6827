internal import BowlineTesting

/// How long a connection stays unused before its next request: close to the time after which the server closes it.
struct IdleRaceGaps: Sendable {
    /// The time after which the server closes an unused connection.
    let timeout: Duration
    /// The largest difference between a gap and ``timeout``.
    let sweep: Duration
    /// The time after which the client itself closes an unused connection. Half of the gaps are around this time. nil:
    /// the client does not close it.
    var ownTimeout: Duration?

    /// Draws the next gap, never negative. Half of the gaps are spread over the whole sweep, the others over a tenth of
    /// it.
    func draw(from random: inout SeededRandom) -> Duration {
        let reach = random.nextBool() ? sweep : sweep / 10
        var middle = timeout
        if let ownTimeout, random.nextBool() { middle = ownTimeout }
        return max(.zero, middle + reach * (2 * random.nextDouble() - 1))
    }
}
