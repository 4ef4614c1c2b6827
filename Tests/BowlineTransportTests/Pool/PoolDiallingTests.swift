import Testing

@testable import BowlineTransport

@Suite struct PoolDiallingTests {
    @Test("A failed dial fails its waiter at once with the cause")
    func failure() {
        let harness = MachineHarness()
        harness.lease(wait: .seconds(10))
        #expect(harness.failed(1, ScriptedDialError(number: 7)).ended == [1: .dialFailed(ScriptedDialError(number: 7))])
        #expect(harness.snapshot == PoolCounts(idle: 0, active: 0, dialling: 0, waiting: 0, opened: 0, closed: [:]))
    }

    @Test("A failed dial frees its place and the next dial starts, so that every waiter is served", .tags(.PO2))
    func failureWithQueue() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        harness.lease()
        harness.lease()
        harness.lease()
        let first = harness.failed(1)
        #expect(first.ended == [1: .dialFailed(ScriptedDialError())])
        #expect(first.dialled == [2])
        let second = harness.failed(2)
        #expect(second.ended == [2: .dialFailed(ScriptedDialError())])
        #expect(harness.established(3).connection(of: 3) == 3)
    }

    @Test("A failed dial fails no request while another dial is in flight for each waiter")
    func surplusFailure() {
        let harness = MachineHarness()
        harness.lease()
        harness.lease()
        harness.cancel(1)
        #expect(harness.failed(1).ended.isEmpty)
        #expect(harness.established(2).connection(of: 2) == 2)
    }

    @Test("maximumPerOrigin: active, idle and dialling connections together stay within the limit")
    func limit() {
        let harness = MachineHarness { $0.maximumConnections = 3 }
        harness.idleConnections(1)
        for _ in 0..<5 { harness.lease() }
        #expect(harness.snapshot.active + harness.snapshot.dialling == 3)
        #expect(harness.snapshot.waiting == 4)
    }

    @Test("With maximumPerOrigin nil the pool dials for each waiting request")
    func unlimited() {
        let harness = MachineHarness { $0.maximumConnections = nil }
        for _ in 0..<1000 { harness.lease() }
        #expect(harness.snapshot.dialling == 1000)
    }

    @Test("a connection that dies while leased frees its place for the next dial", .tags(.PO2))
    func lostConnection() {
        let harness = MachineHarness { $0.maximumConnections = 1 }
        harness.leasedConnections(1)
        harness.lease()
        let observation = harness.closed(1, .transportError)
        #expect(observation.removed == [1: .transportError])
        #expect(observation.dialled == [2])
    }

    @Test("A connection that arrives after its dial was cancelled is closed")
    func lateConnection() {
        let harness = MachineHarness()
        harness.lease()
        harness.cancel(1)
        #expect(harness.beginDrain().cancelledDials == [1])
        #expect(harness.established(1).removed == [1: .dialUnneeded])
        #expect(harness.snapshot.closed == [.dialUnneeded: 1])
        #expect(harness.snapshot.opened == 1)
    }

    @Test("isEnabled false: each lease dials, each release closes")
    func disabled() {
        let harness = MachineHarness { $0.isEnabled = false }
        for id in 1...5 {
            #expect(harness.lease().dialled == [id])
            harness.established(id)
            #expect(harness.release(id).removed == [id: .poolingDisabled])
        }
        #expect(harness.snapshot.closed == [.poolingDisabled: 5])
    }

    @Test("isEnabled false: at the limit a released connection's place goes to the next dial")
    func disabledAtLimit() {
        let harness = MachineHarness {
            $0.isEnabled = false
            $0.maximumConnections = 1
        }
        harness.leasedConnections(1)
        #expect(harness.lease().dialled.isEmpty)
        let observation = harness.release(1)
        #expect(observation.removed == [1: .poolingDisabled])
        #expect(observation.dialled == [2])
    }

    @Test("isEnabled false: the dial of a cancelled request is cancelled, because no other request could use it")
    func disabledCancelled() {
        let harness = MachineHarness { $0.isEnabled = false }
        harness.lease()
        #expect(harness.cancel(1).cancelledDials == [1])
    }

    @Test("prewarm opens connections until the requested number is idle, and ends with the last dial")
    func prewarm() {
        let harness = MachineHarness()
        harness.idleConnections(1)
        let observation = harness.prewarm(3)
        #expect(observation.dialled == [2, 3])
        #expect(harness.established(2).ended.isEmpty)
        #expect(harness.established(3).ended == [2: .prewarmed])
        #expect(harness.snapshot.idle == 3)
        #expect(harness.prewarm(3).ended == [3: .prewarmed])
    }

    @Test("prewarm stays within maximumIdle and maximumPerOrigin")
    func prewarmLimits() {
        let harness = MachineHarness { $0.maximumIdle = 2 }
        #expect(harness.prewarm(10).dialled.count == 2)
        let other = MachineHarness { $0.maximumConnections = 3 }
        other.leasedConnections(2)
        #expect(other.prewarm(10).dialled.count == 1)
        #expect(other.established(3).ended == [3: .prewarmed])
        let disabled = MachineHarness { $0.isEnabled = false }
        #expect(disabled.prewarm(10).ended == [1: .prewarmed])
    }

    @Test("prewarm fails with the first dial's error; a second caller waits for the first one's dials")
    func prewarmFailure() {
        let harness = MachineHarness()
        harness.prewarm(2)
        #expect(harness.prewarm(2).dialled.isEmpty)
        #expect(harness.established(1).ended.isEmpty)
        let end = Observation.End.dialFailed(ScriptedDialError(number: 3))
        #expect(harness.failed(2, ScriptedDialError(number: 3)).ended == [1: end, 2: end])
    }

    @Test("A cancelled prewarm ends at once and its dials continue; a drain ends both")
    func prewarmEnds() {
        let harness = MachineHarness()
        harness.prewarm(2)
        harness.prewarm(2)
        #expect(harness.cancel(1).ended == [1: .cancelled])
        #expect(harness.snapshot.dialling == 2)
        let observation = harness.beginDrain()
        #expect(observation.ended == [2: .draining])
        #expect(observation.cancelledDials == [1, 2])
        #expect(harness.prewarm(1).ended == [3: .draining])
    }

    @Test("The pool keeps minimumIdle by dialling for connections that were taken, closed or lost")
    func minimumIdle() {
        let harness = MachineHarness { $0.minimumIdle = 2 }
        #expect(harness.lease().dialled == [1, 2, 3])
        for id in 1...3 { harness.established(id) }
        #expect(harness.snapshot.idle == 2)
        harness.release(1)
        #expect(harness.snapshot.idle == 3)
        #expect(harness.tryLease() != nil)
        #expect(harness.snapshot.dialling == 0)
        #expect(harness.tryLease() != nil)
        #expect(harness.snapshot.dialling == 1)
    }

    @Test("The pool replaces expired connections to keep minimumIdle")
    func minimumIdleExpiry() {
        let harness = MachineHarness { $0.minimumIdle = 1 }
        harness.lease()
        harness.established(1)
        harness.established(2)
        harness.release(1)
        let observation = harness.advance(by: .seconds(90))
        #expect(observation.removed == [1: .idleTimeout, 2: .idleTimeout])
        #expect(observation.dialled == [3])
    }

    @Test("refills back off exponentially, with jitter, between 100 ms and 10 s, and a success resets", .tags(.PO9))
    func refillBackoff() {
        let harness = MachineHarness {
            $0.minimumIdle = 1
            $0.idleTimeout = nil
            $0.maximumLifetime = nil
        }
        harness.lease()
        harness.established(1)
        harness.random = 1
        var next = 2
        var delays: [Duration] = []
        for _ in 0..<9 {
            harness.failed(next)
            let start = harness.now
            #expect(harness.snapshot.dialling == 0)
            guard let due = harness.wakeUp else { break }
            delays.append(due.at.sinceStart - start)
            harness.advance(by: due.at.sinceStart - start)
            #expect(harness.snapshot.dialling == 1)
            next += 1
        }
        #expect(delays == [200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000].map { Duration.milliseconds($0) })
        // A served request shows that the peer works.
        harness.release(1)
        harness.random = 0
        harness.closed(1)
        harness.failed(next)
        #expect(harness.wakeUp.map { $0.at.sinceStart - harness.now } == .milliseconds(100))
    }

    @Test("A request that ends well does not cut short the pause after a failed dial for minimumIdle")
    func refillPauseGoesOn() {
        let harness = MachineHarness { $0.minimumIdle = 2 }
        harness.random = 1
        #expect(harness.lease().dialled == [1, 2, 3])
        harness.established(1)
        harness.failed(2)
        harness.failed(3)
        for _ in 1...20 {
            harness.advance(by: .milliseconds(1))
            #expect(harness.release(1).dialled.isEmpty)
            #expect(harness.lease().dialled.isEmpty)
        }
        #expect(harness.advance(by: .milliseconds(380)).dialled.count == 2)
    }

    @Test("Connections that the peer closes before their first use are redialled with pauses")
    func refillOfShortLived() {
        let harness = MachineHarness { $0.minimumIdle = 1 }
        harness.lease()
        harness.established(1)
        harness.established(2)
        #expect(harness.closed(2).dialled.isEmpty)
        #expect(harness.advance(by: .seconds(1)).dialled == [3])
    }
}
