import Testing

@testable import BowlineTransport

@Suite struct PoolLeasingTests {
    @Test("checkout takes the most recently used connection", .tags(.PO5))
    func mostRecentlyUsed() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(3)
        #expect(harness.tryLease()?.connection == ids[2])
        #expect(harness.tryLease()?.connection == ids[1])
        harness.release(ids[2])
        #expect(harness.tryLease()?.connection == ids[2])
        #expect(harness.tryLease()?.connection == ids[0])
        #expect(harness.tryLease() == nil)
    }

    @Test("An idle connection on the caller's event loop is preferred, the most recently used one of them")
    func affinity() {
        let harness = MachineHarness()
        harness.lease(affinity: 1)
        harness.lease(affinity: 2)
        harness.lease(affinity: 1)
        for (id, affinity) in [(1, 1), (2, 2), (3, 1)] { harness.established(id, affinity: affinity) }
        for id in [1, 3, 2] { harness.release(id) }
        #expect(harness.tryLease(affinity: 1)?.connection == 3)
        #expect(harness.tryLease(affinity: 1)?.connection == 1)
        #expect(harness.tryLease(affinity: 1)?.connection == 2)
    }

    @Test("A caller whose event loop has no idle connection gets the most recently used of all")
    func affinityMiss() {
        let harness = MachineHarness()
        let ids = harness.idleConnections(2, affinity: 1)
        #expect(harness.tryLease(affinity: 7)?.connection == ids[1])
    }

    @Test("A dial is asked for on the caller's event loop")
    func dialAffinity() {
        let harness = MachineHarness()
        let waiter = WaiterID(value: 1)
        let (_, effects) = harness.machine.lease(LeaseRequest(waiter: waiter, affinity: 5), now: harness.instant)
        #expect(effects.dialsDue == 1)
        let started = harness.machine.startDials([ConnectionID(1)], now: harness.instant)
        #expect(started.dials.map(\.affinity) == [5])
    }

    @Test("N+1 requests with limit N get N connections, and the queue is served in order", .tags(.PO1))
    func fifo() {
        let harness = MachineHarness { $0.maximumConnections = 2 }
        let ids = harness.leasedConnections(2)
        for _ in 3...6 {
            #expect(harness.lease().dialled.isEmpty)
        }
        #expect(harness.snapshot.waiting == 4)
        #expect(harness.release(ids[1]).connection(of: 3) == ids[1])
        #expect(harness.release(ids[0]).connection(of: 4) == ids[0])
        #expect(harness.release(ids[0]).connection(of: 5) == ids[0])
        #expect(harness.release(ids[1]).connection(of: 6) == ids[1])
        #expect(harness.snapshot.opened == 2)
    }

    @Test("a returned connection serves the request first, and the late dial goes to the pool", .tags(.PO8))
    func raceWonByReturn() {
        let harness = MachineHarness()
        let id = harness.leasedConnections(1)[0]
        #expect(harness.lease().dialled == [2])
        #expect(harness.release(id).connection(of: 2) == id)
        #expect(harness.established(2).ended.isEmpty)
        #expect(harness.snapshot.idle == 1)
        #expect(harness.snapshot.active == 1)
        // The connection is not reused, but it may be stale, which resends must know.
        #expect(harness.tryLease() == .init(connection: 2, uses: 1, idleSince: .zero))
    }

    @Test("A dial that completes before the return serves the request, and the returned connection becomes idle")
    func raceWonByDial() {
        let harness = MachineHarness()
        let id = harness.leasedConnections(1)[0]
        harness.lease()
        #expect(harness.established(2).connection(of: 2) == 2)
        #expect(harness.release(id).ended.isEmpty)
        #expect(harness.snapshot.idle == 1)
    }

    @Test("The pool dials only while waiters outnumber dials in flight")
    func noSuperfluousDials() {
        let harness = MachineHarness()
        let id = harness.leasedConnections(1)[0]
        #expect(harness.lease().dialled.count == 1)
        harness.release(id)
        // One dial is in flight without a waiter, so the next request needs no dial.
        harness.closed(id)
        #expect(harness.lease().dialled.isEmpty)
        #expect(harness.lease().dialled.count == 1)
        #expect(harness.snapshot.dialling == 2)
    }

    @Test("a cancelled waiter never consumes a connection", .tags(.CA2))
    func cancelledWaiter() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        let id = harness.leasedConnections(1)[0]
        harness.lease()
        harness.lease()
        #expect(harness.cancel(2).ended == [2: .cancelled])
        #expect(harness.cancel(2).ended.isEmpty)
        #expect(harness.release(id).connection(of: 3) == id)
    }

    @Test("A connection assigned at the instant of cancellation goes to the next waiter, and the use is not counted")
    func assignedThenCancelled() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        let id = harness.leasedConnections(1)[0]
        harness.lease()
        harness.lease()
        #expect(harness.release(id).ended[2] == .granted(.init(connection: id, uses: 2, idleSince: .zero)))
        // The cancellation came after the grant, so there is no wait to cancel and the driver returns the connection.
        #expect(harness.cancel(2).ended.isEmpty)
        #expect(harness.returnUnused(id).ended[3] == .granted(.init(connection: id, uses: 2, idleSince: .zero)))
    }

    @Test("A fresh connection returned unused is still fresh")
    func freshReturnedUnused() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        harness.lease()
        harness.lease(fresh: true)
        #expect(harness.established(1).connection(of: 1) == 1)
        #expect(harness.returnUnused(1).ended[2] == .granted(.init(connection: 1, uses: 1, idleSince: nil)))
    }

    @Test("a waiter's limit fails it, with the last dial's error of its wait", .tags(.PO3))
    func limit() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        harness.lease()
        harness.failed(1, ScriptedDialError(number: 1))
        harness.advance(by: .seconds(1))
        harness.lease()
        harness.lease(wait: .seconds(10))
        harness.lease(wait: .seconds(20))
        #expect(harness.advance(by: .milliseconds(9_999)).ended.isEmpty)
        #expect(harness.advance(by: .milliseconds(1)).ended == [3: .timedOut(lastDialError: nil)])
        harness.lease(wait: .seconds(20))
        harness.failed(2, ScriptedDialError(number: 2))
        #expect(harness.snapshot.waiting == 2)
        #expect(harness.snapshot.dialling == 1)
        #expect(harness.advance(by: .seconds(20)).ended == [5: .timedOut(lastDialError: ScriptedDialError(number: 2))])
    }

    @Test("A waiter's deadline fails it, whatever dial is in flight for it", .tags(.PO3))
    func deadline() {
        let harness = MachineHarness()
        harness.lease(wait: .seconds(1), deadline: .seconds(3))
        #expect(harness.advance(by: .milliseconds(2_999)).ended.isEmpty)
        #expect(harness.advance(by: .milliseconds(1)).ended == [1: .deadlineExceeded(lastDialError: nil)])
        #expect(harness.lease(deadline: .zero).ended == [2: .deadlineExceeded(lastDialError: nil)])
    }

    @Test("Of a timeout and a grant at one instant the first wins, and the second changes nothing")
    func timeoutAgainstGrant() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        let id = harness.leasedConnections(1)[0]
        harness.lease(wait: .seconds(10))
        harness.now = .seconds(10)
        #expect(harness.release(id).connection(of: 2) == id)
        #expect(harness.advance(by: .zero).ended.isEmpty)
        harness.lease(wait: .seconds(10))
        #expect(harness.advance(by: .seconds(10)).ended == [3: .timedOut(lastDialError: nil)])
        #expect(harness.release(id).ended.isEmpty)
        #expect(harness.snapshot.idle == 1)
    }

    @Test("A deadline that has passed already fails the request at once, unless a connection is idle")
    func pastDeadline() {
        let harness = MachineHarness()
        #expect(harness.lease(wait: .zero).ended == [1: .timedOut(lastDialError: nil)])
        let ids = harness.idleConnections(1)
        #expect(harness.lease(wait: .zero).connection(of: 3) == ids[0])
    }

    @Test("Beyond maximumWaiting a request fails at once; requests with their own dial do not count")
    func saturation() {
        let harness = MachineHarness {
            $0.maximumConnections = 2
            $0.maximumWaiting = 1
        }
        #expect(harness.lease().ended.isEmpty)
        #expect(harness.lease().ended.isEmpty)
        #expect(harness.lease().ended.isEmpty)
        #expect(harness.lease().ended == [4: .saturated(waiting: 3)])
        harness.established(1)
        harness.established(2)
        #expect(harness.snapshot.waiting == 1)
        #expect(harness.lease().ended == [5: .saturated(waiting: 1)])
        harness.cancel(3)
        #expect(harness.lease().ended.isEmpty)
    }

    @Test("maximumWaiting 0 still dials")
    func noQueue() {
        let harness = MachineHarness {
            $0.maximumConnections = 1
            $0.maximumWaiting = 0
        }
        #expect(harness.lease().dialled == [1])
        #expect(harness.lease().ended == [2: .saturated(waiting: 1)])
    }

    @Test("A request that requires a fresh connection is served only by a new one")
    func requiresFresh() {
        let harness = MachineHarness()
        let id = harness.idleConnections(1)[0]
        #expect(harness.lease(fresh: true).dialled == [2])
        #expect(harness.tryLease()?.connection == id)
        #expect(harness.release(id).ended.isEmpty)
        #expect(harness.established(2).ended[2] == .granted(.init(connection: 2, uses: 1, idleSince: nil)))
    }

    @Test("At the limit, a request that requires a fresh connection takes an idle one's place")
    func freshAtLimit() {
        let harness = MachineHarness { $0.maximumConnections = 2 }
        let ids = harness.idleConnections(2)
        let observation = harness.lease(fresh: true)
        #expect(observation.removed == [ids[0]: .replaced])
        #expect(observation.dialled == [3])
    }

    @Test(
        "At the limit a returned connection is closed if the first waiter requires a new connection"
    )
    func freshAtLimitWithoutIdle() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        let id = harness.leasedConnections(1)[0]
        harness.lease(fresh: true)
        harness.lease()
        let observation = harness.release(id)
        #expect(observation.removed == [id: .replaced])
        #expect(observation.dialled == [2])
        #expect(harness.established(2).connection(of: 2) == 2)
    }

    @Test("Each lease has the number of the connection's uses and the instant since when it was idle")
    func leaseFacts() {
        let harness = MachineHarness()
        #expect(harness.lease().dialled == [1])
        #expect(harness.established(1).ended[1] == .granted(.init(connection: 1, uses: 1, idleSince: nil)))
        harness.now = .seconds(3)
        harness.release(1)
        harness.now = .seconds(5)
        #expect(harness.tryLease() == .init(connection: 1, uses: 2, idleSince: .seconds(3)))
    }
}
