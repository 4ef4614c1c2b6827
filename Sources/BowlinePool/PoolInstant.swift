/// A point in time as the machine sees it: the distance from the pool's making.
///
/// Not the clock's own instant, so that the machine is not generic and is optimised where it is compiled.
@usableFromInline
package struct PoolInstant: InstantProtocol {
    @usableFromInline package let sinceStart: Duration

    @inlinable
    package init(_ sinceStart: Duration) {
        self.sinceStart = sinceStart
    }

    @inlinable
    package func advanced(by duration: Duration) -> PoolInstant {
        PoolInstant(sinceStart + duration)
    }

    @inlinable
    package func duration(to other: PoolInstant) -> Duration {
        other.sinceStart - sinceStart
    }

    @usableFromInline
    package static func < (lhs: PoolInstant, rhs: PoolInstant) -> Bool {
        lhs.sinceStart < rhs.sinceStart
    }
}
