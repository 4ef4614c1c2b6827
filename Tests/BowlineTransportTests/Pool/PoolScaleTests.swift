import Testing

@testable import BowlineTransport

/// Long lines and many connections. What looked at each of them for each request would take minutes here instead of a
/// second: the time limit is the test.
@Suite("Many at once", .timeLimit(.minutes(1)))
struct PoolScaleTests {
    static let count = 50_000

    @Test("maximumPerOrigin nil: neither a request, nor its connection, nor a look at the counts walks all connections")
    func unlimited() {
        let pool = MachineHarness {
            $0.maximumConnections = nil
            $0.maximumIdle = Self.count
        }
        for _ in 0..<Self.count {
            pool.lease(wait: .seconds(10))
            _ = pool.snapshot
        }
        #expect(pool.snapshot.dialling == Self.count)
        for id in 1...Self.count { pool.established(id) }
        for id in 1...Self.count {
            pool.release(id)
            _ = pool.snapshot
        }
        #expect(pool.snapshot.idle == Self.count)
    }

    @Test("Dials that no request needs are cancelled without a walk along all dials", arguments: [true, false])
    func cancelled(isEnabled: Bool) {
        let pool = MachineHarness {
            $0.maximumConnections = nil
            $0.isEnabled = isEnabled
        }
        for _ in 0..<Self.count { pool.lease() }
        if isEnabled { pool.beginDrain() }
        // In order, like a task group cancels its tasks.
        for waiter in 1...Self.count { pool.cancel(waiter) }
        #expect(pool.snapshot.waiting == 0)
        #expect(pool.snapshot.dialling == 0)
    }

    @Test("Failing a long queue does not walk the queue for each request")
    func failed() {
        let pool = MachineHarness { $0.maximumConnections = nil }
        for _ in 0..<Self.count { pool.lease(wait: .seconds(10)) }
        for id in 1...Self.count { pool.failed(id) }
        #expect(pool.snapshot.waiting == 0)
        #expect(pool.snapshot.dialling == 0)
    }

    @Test("Limits that pass one after the other do not walk the queue each time")
    func limits() {
        let pool = MachineHarness {
            $0.maximumConnections = 1
            $0.maximumWaiting = nil
        }
        pool.leasedConnections(1)
        for number in 0..<Self.count {
            pool.lease(wait: .seconds(10) + .microseconds(number), deadline: .seconds(60) + .microseconds(number))
        }
        #expect(pool.advance(by: .seconds(11)).ended.count == Self.count)
        #expect(pool.snapshot.waiting == 0)
    }

    @Test("Serving a long queue does not walk it for each request, and the timer forgets served requests")
    func served() {
        let pool = MachineHarness {
            $0.maximumConnections = 1
            $0.maximumWaiting = nil
        }
        pool.leasedConnections(1)
        for _ in 0..<Self.count { pool.lease(wait: .seconds(10)) }
        for _ in 0..<Self.count { pool.release(1) }
        #expect(pool.release(1).idleDelta == 1)
        let timers = pool.machine.lastWakeUpID
        pool.advance(by: .seconds(60))
        #expect(pool.machine.lastWakeUpID - timers <= 2)
    }
}
