/// A point in time as the machine sees it: the distance from the pool's making.
///
/// Not the clock's own instant, so that the machine is not generic and is optimised where it is compiled.
struct PoolInstant: InstantProtocol {
    let sinceStart: Duration

    init(_ sinceStart: Duration) {
        self.sinceStart = sinceStart
    }

    func advanced(by duration: Duration) -> PoolInstant {
        PoolInstant(sinceStart + duration)
    }

    func duration(to other: PoolInstant) -> Duration {
        other.sinceStart - sinceStart
    }

    static func < (lhs: PoolInstant, rhs: PoolInstant) -> Bool {
        lhs.sinceStart < rhs.sinceStart
    }
}
