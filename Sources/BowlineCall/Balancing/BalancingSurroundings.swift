internal import BowlineCore
internal import Synchronization

/// The parts that all balancers of a client share.
struct BalancingSurroundings: Sendable {
    /// Sends requests to chosen addresses; nil: the transport cannot.
    let addresses: (any AddressListing)?
    let events: EventDispatch?
    let clock: any ServiceClock
    let random: @Sendable () -> Double
    let numbers = BalancerNumbers()
    private let reader: ClockReader

    init(
        addresses: (any AddressListing)?, events: EventDispatch?, clock: any ServiceClock,
        random: @escaping @Sendable () -> Double
    ) {
        self.addresses = addresses
        self.events = events
        self.clock = clock
        self.random = random
        reader = ClockReader(clock)
    }

    var now: MonotonicInstant { reader.now }
}

/// Gives each balancer of a client its own range of endpoint numbers, so that a call that uses several balancers can
/// keep the numbers of all of them in one list.
final class BalancerNumbers: Sendable {
    private let made = Atomic<UInt64>(0)

    /// Returns the first number of a range of 2^32.
    func next() -> UInt64 {
        made.wrappingAdd(1, ordering: .relaxed).newValue << 32
    }
}
