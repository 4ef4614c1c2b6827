import BowlineCore
import Testing

@testable import BowlineTransport

@Suite struct PoolClosingTests {
    @Test("an idle connection closes exactly after idleTimeout, by the timer; one in use never does", .tags(.PO4))
    func idleTimeout() {
        let harness = MachineHarness()
        let ids = harness.leasedConnections(2)
        harness.release(ids[0])
        #expect(harness.advance(by: .milliseconds(89_999)).removed.isEmpty)
        #expect(harness.advance(by: .milliseconds(1)).removed == [ids[0]: .idleTimeout])
        harness.advance(by: .seconds(1000))
        #expect(harness.snapshot.active == 1)
    }

    @Test("Each use restarts the idle time without moving the timer")
    func idleTimeoutAfterUse() {
        let harness = MachineHarness()
        let id = harness.idleConnections(1)[0]
        let timer = harness.wakeUp
        harness.advance(by: .seconds(60))
        _ = harness.tryLease()
        harness.release(id)
        #expect(harness.wakeUp == timer)
        #expect(harness.advance(by: .seconds(89)).removed.isEmpty)
        #expect(harness.advance(by: .seconds(1)).removed == [id: .idleTimeout])
    }

    @Test("the idle timer and a lease of the same connection: exactly one wins", .tags(.PO6))
    func timerAgainstLease() {
        let harness = MachineHarness()
        let id = harness.idleConnections(1)[0]
        harness.now += .seconds(90)
        // The timer is late; the lease must not get the expired connection.
        let observation = harness.lease()
        #expect(observation.removed == [id: .idleTimeout])
        #expect(observation.dialled == [2])
        #expect(harness.advance(by: .zero).removed.isEmpty)

        let other = MachineHarness()
        other.idleConnections(1)
        other.now += .seconds(89)
        #expect(other.tryLease() != nil)
        #expect(other.advance(by: .seconds(10)).removed.isEmpty)
    }

    @Test("A late timer is ignored by its id")
    func lateTimer() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(1)
        let first = harness.wakeUp
        harness.lease()
        harness.release(ids[0], keepAlive: .seconds(5))
        #expect(harness.wakeUp != first)
        harness.now += .seconds(200)
        let late = harness.lateTimer(first?.id ?? 0)
        #expect(late == Observation())
        #expect(harness.advance(by: .zero).removed == [ids[0]: .keepAliveTimeout])
    }

    @Test("With idleTimeout nil no timer closes idle connections")
    func noIdleTimeout() {
        let harness = MachineHarness {
            $0.idleTimeout = nil
            $0.maximumLifetime = nil
        }
        harness.idleConnections(1)
        #expect(harness.wakeUp == nil)
        #expect(harness.tryLease() != nil)
    }

    @Test("The longest representable maximumLifetime does not trap")
    func endlessLifetime() {
        let harness = MachineHarness {
            $0.idleTimeout = nil
            $0.maximumLifetime = .seconds(Int64.max) * 18
        }
        harness.random = 1
        harness.idleConnections(1)
        #expect(harness.advance(by: .seconds(86_400)).removed.isEmpty)
        #expect(harness.tryLease() != nil)
    }

    @Test("A timeout of any length is divided into sleeps that the clock supports")
    func hugeTimeout() {
        let harness = MachineHarness {
            $0.idleTimeout = .seconds(Int64.max / 4)
            $0.maximumLifetime = nil
        }
        harness.idleConnections(1)
        #expect(harness.wakeUp.map { $0.at.sinceStart - harness.now } == .seconds(3600))
        #expect(harness.advance(by: .seconds(7200)).removed.isEmpty)
        #expect(harness.wakeUp != nil)
    }

    @Test("at maximumIdlePerOrigin the least recently used connection closes and the returning one stays", .tags(.PO5))
    func idleCapacity() {
        let harness = MachineHarness { $0.maximumIdle = 2 }
        let ids = harness.leasedConnections(5)
        #expect(
            ids.map { harness.release($0).removed } == [
                [:], [:], [1: .idleCapacity], [2: .idleCapacity], [3: .idleCapacity],
            ])
        #expect(harness.snapshot.idle == 2)
        #expect(harness.idleSum == 2)
        #expect(harness.tryLease()?.connection == 5)
    }

    @Test("maximumIdle over all origins: the least recently used goes first, and is not dialled again at once")
    func totalIdleCapacity() {
        let harness = MachineHarness { $0.minimumIdle = 2 }
        harness.lease()
        for id in 1...3 { harness.established(id) }
        #expect(harness.machine.oldestIdleSince == MonotonicInstant(.zero))
        let observation = harness.evictOldest()
        #expect(observation.removed == [2: .totalIdleCapacity])
        #expect(observation.dialled.isEmpty)
        harness.evictOldest()
        #expect(harness.evictOldest().removed.isEmpty)
        #expect(harness.machine.oldestIdleSince == nil)
    }

    @Test("maximumLifetime retires a connection when it next becomes idle, and never cuts a request")
    func lifetime() {
        let harness = MachineHarness { $0.idleTimeout = nil }
        let ids = harness.leasedConnections(2)
        harness.release(ids[0])
        #expect(harness.advance(by: .seconds(599)).removed.isEmpty)
        #expect(harness.advance(by: .seconds(1)).removed == [ids[0]: .lifetimeExceeded])
        harness.advance(by: .seconds(600))
        #expect(harness.snapshot.active == 1)
        #expect(harness.release(ids[1]).removed == [ids[1]: .lifetimeExceeded])
    }

    @Test("A connection that is released exactly at the end of its lifetime serves no waiting request")
    func lifetimeEndsAtRelease() {
        let harness = MachineHarness {
            $0.idleTimeout = nil
            $0.maximumConnections = 1
        }
        let ids = harness.leasedConnections(1)
        #expect(harness.lease().dialled.isEmpty)
        harness.advance(by: .seconds(600))
        let observation = harness.release(ids[0])
        #expect(observation.removed == [ids[0]: .lifetimeExceeded])
        #expect(observation.dialled.count == 1)
    }

    @Test("maximumLifetime varies by ± 10 %", arguments: [(0.0, 540), (0.5, 600), (1.0, 660)])
    func lifetimeJitter(random: Double, seconds: Int) {
        let harness = MachineHarness { $0.idleTimeout = nil }
        harness.random = random
        harness.idleConnections(1)
        let remaining = Duration.seconds(seconds) - .seconds(1)
        #expect(harness.advance(by: remaining - .milliseconds(1)).removed.isEmpty)
        #expect(harness.advance(by: .milliseconds(2)).removed == [1: .lifetimeExceeded])
    }

    @Test("maximumUses retires a connection after so many requests", .tags(.KA18))
    func uses() {
        let harness = MachineHarness { $0.maximumUses = 3 }
        harness.leasedConnections(1)
        #expect(harness.release(1).removed.isEmpty)
        #expect(harness.tryLease()?.uses == 2)
        #expect(harness.release(1).removed.isEmpty)
        #expect(harness.tryLease()?.uses == 3)
        #expect(harness.release(1).removed == [1: .usesExceeded])
    }

    @Test("Keep-Alive: timeout=N is honoured as N − 1 s", .tags(.KA19), arguments: [(2, 1), (5, 4), (90, 89)])
    func keepAlive(timeout: Int, idle: Int) {
        let harness = MachineHarness()
        harness.leasedConnections(1)
        #expect(harness.release(1, keepAlive: .seconds(timeout)).removed.isEmpty)
        #expect(harness.advance(by: .seconds(idle) - .milliseconds(1)).removed.isEmpty)
        #expect(harness.advance(by: .milliseconds(1)).removed == [1: .keepAliveTimeout])
    }

    @Test(
        "Keep-Alive: timeout=N with N ≤ 1 closes the connection at release, even if requests wait", .tags(.KA19),
        arguments: [0, 1])
    func keepAliveTooShort(timeout: Int) {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        harness.leasedConnections(1)
        harness.lease()
        let observation = harness.release(1, keepAlive: .seconds(timeout))
        #expect(observation.removed == [1: .keepAliveTimeout])
        #expect(observation.dialled == [2])
    }

    @Test("a keep-alive timeout longer than idleTimeout changes nothing", .tags(.KA19))
    func keepAliveLonger() {
        let harness = MachineHarness()
        harness.leasedConnections(1)
        harness.release(1, keepAlive: .seconds(1000))
        #expect(harness.advance(by: .seconds(90)).removed == [1: .idleTimeout])
    }

    @Test("siblings idle as long as a stale connection are evicted, younger ones kept", .tags(.RT2))
    func stale() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(3)
        #expect(harness.evictStale(idleSince: .seconds(2)).removed == [ids[0]: .stale, ids[1]: .stale])
        #expect(harness.snapshot.idle == 1)
    }

    @Test("a connection the peer closes while idle is removed without a request", .tags(.PO7))
    func peerClosesIdle() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(2)
        #expect(harness.closed(ids[1], .unsolicitedBytes).removed == [ids[1]: .unsolicitedBytes])
        #expect(harness.idleSum == 1)
        #expect(harness.closed(ids[1]).removed.isEmpty)
        #expect(harness.tryLease()?.connection == ids[0])
    }

    @Test("A drain closes idle connections and unneeded dials, and keeps the dials that requests wait for", .tags(.LC2))
    func drain() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(2)
        _ = harness.tryLease()
        harness.lease(fresh: true)
        harness.lease(fresh: true)
        harness.cancel(3)
        let observation = harness.beginDrain()
        #expect(observation.removed == [ids[0]: .shutdown])
        #expect(observation.cancelledDials == [4])
        #expect(harness.snapshot.dialling == 1)
        #expect(harness.established(3).connection(of: 4) == 3)
        #expect(harness.release(3).removed == [3: .shutdown])
        #expect(harness.beginDrain() == Observation())
    }

    @Test("while draining, admitted requests still get connections, dialled or handed on", .tags(.LC6))
    func leaseWhileDraining() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        harness.beginDrain()
        #expect(harness.lease().dialled == [1])
        harness.established(1)
        harness.lease()
        #expect(harness.release(1).connection(of: 2) == 1)
        #expect(harness.release(1).removed == [1: .shutdown])
        #expect(harness.wakeUp == nil)
    }

    @Test("When the address is gone, idle connections close, and requests that had chosen it still get connections")
    func goneAddress() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(2)
        let used = harness.tryLease()?.connection
        #expect(used == ids[1])
        #expect(harness.beginDrain(.addressGone).removed == [ids[0]: .addressGone])
        let late = harness.lease()
        #expect(late.dialled == [3])
        #expect(harness.established(3).connection(of: harness.waitersNamed) == 3)
        #expect(harness.release(3).removed == [3: .addressGone])
        #expect(harness.release(ids[1]).removed == [ids[1]: .addressGone])
        #expect(harness.snapshot.closed == [.addressGone: 3])
        #expect(harness.closeIfCold())
    }

    @Test("If the address comes back, connections in use are kept")
    func addressBack() {
        let harness = MachineHarness()
        let ids = harness.leasedConnections(2)
        harness.beginDrain(.addressGone)
        #expect(harness.release(ids[0]).removed == [ids[0]: .addressGone])
        #expect(harness.endDrain() == Observation())
        #expect(harness.release(ids[1]).removed.isEmpty)
        #expect(harness.snapshot.idle == 1)
        #expect(harness.tryLease()?.connection == ids[1])
    }

    @Test("A shutdown is not undone when an address comes back, and its reason replaces the other")
    func goneAddressInShutdown() {
        let harness = MachineHarness()
        let ids = harness.leasedConnections(2)
        harness.beginDrain(.addressGone)
        harness.beginDrain()
        harness.endDrain()
        #expect(harness.release(ids[0]).removed == [ids[0]: .shutdown])
        harness.beginDrain(.addressGone)
        harness.endDrain()
        #expect(harness.release(ids[1]).removed == [ids[1]: .shutdown])
    }

    @Test(
        "Closing fails the waiters, cancels dials and closes all connections; later events change nothing", .tags(.LC3)
    )
    func closeAll() {
        let harness = MachineHarness()
        let ids = harness.leasedConnections(2)
        harness.release(ids[0])
        harness.lease(fresh: true)
        harness.lease(fresh: true)
        let observation = harness.closeAll()
        #expect(observation.ended == [3: .closed, 4: .closed])
        #expect(observation.cancelledDials == [3, 4])
        #expect(observation.removed == [ids[0]: .forced, ids[1]: .forced])
        #expect(harness.release(ids[1]) == Observation())
        #expect(harness.closed(ids[1]) == Observation())
        #expect(harness.established(3).removed == [3: .dialUnneeded])
        #expect(harness.lease().ended == [5: .closed])
        #expect(harness.closeAll() == Observation())
        #expect(harness.idleSum == 0)
        #expect(harness.wakeUp == nil)
    }

    @Test("Only the pools of cold origins are removed")
    func cold() {
        let harness = MachineHarness()
        harness.lease()
        #expect(!harness.closeIfCold())
        harness.established(1)
        #expect(!harness.closeIfCold())
        harness.release(1)
        #expect(!harness.closeIfCold())
        harness.advance(by: .seconds(90))
        #expect(harness.closeIfCold())
        #expect(harness.lease().ended == [2: .closed])
    }

    @Test("Every opened connection is idle, active or closed with a reason")
    func bookkeeping() {
        let harness = MachineHarness { $0.maximumIdle = 1 }
        harness.idleConnections(4)
        harness.lease()
        harness.closed(4, .eofDelimitedBody)
        let snapshot = harness.snapshot
        #expect(snapshot.closed == [.idleCapacity: 3, .eofDelimitedBody: 1])
        #expect(snapshot.opened == snapshot.idle + snapshot.active + snapshot.closed.values.reduce(0, +))
    }
}
