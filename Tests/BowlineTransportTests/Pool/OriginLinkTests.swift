import BowlineCore
import Synchronization
import Testing

@testable import BowlineTransport

/// The calls to a connection whose pool was released.
@Suite struct OriginLinkTests {
    /// Counts these calls.
    private final class LeftConnection: PoolTestConnection {
        let id = ConnectionID(1)
        let affinity = 0
        let isMultiplexed = false
        let capacity = 1
        let told = Atomic<Int>(0)

        func retire(_ reason: CloseReason, leases: Int) {}
        func leaseUnused() {}
        func probe() {}
        func close(_ reason: CloseReason) {}

        func poolReleased() {
            told.add(1, ordering: .relaxed)
        }
    }

    @Test(
        "A lease that ends after its pool was released informs the connection, used or not", arguments: [true, false])
    func told(isUsed: Bool) {
        let link = OriginLink(options: ConnectionOptions(), owner: nil)
        let connection = LeftConnection()
        if isUsed {
            link.release(connection, keepAliveTimeout: nil, now: MonotonicInstant(.zero))
        } else {
            link.returnUnused(connection)
        }
        #expect(connection.told.load(ordering: .relaxed) == 1)
    }
}
