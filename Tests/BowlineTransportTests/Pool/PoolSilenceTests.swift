import Testing

@testable import BowlineTransport

/// Connections that may be dead because another connection is silent.
@Suite("Silent connections")
struct PoolSilenceTests {
    /// A machine with connections of 10 streams each, with one lease each.
    private func streams(_ count: Int, maximum: Int = 4, connections: Int = 256) -> MachineHarness {
        let pool = MachineHarness {
            $0.expectation = .streams(1)
            $0.maximumMultiplexed = maximum
            $0.maximumConnections = connections
        }
        for id in 1...count {
            pool.lease()
            pool.established(id, streams: 1)
        }
        for id in 1...count { pool.capacityChanged(id, to: 10) }
        return pool
    }

    /// A machine that dials `count` connections in turn, because `event` stops each after its first lease. It dials no further
    /// connection.
    private func machine(
        dialling count: Int, streams: Int, connections: Int? = nil, event: (MachineHarness, Int) -> Void
    ) -> MachineHarness {
        let pool = MachineHarness {
            $0.expectation = .streams(streams)
            $0.maximumMultiplexed = 2
            if let connections { $0.maximumConnections = connections }
        }
        for id in 1...count {
            #expect(pool.lease().dialled == [id])
            pool.established(id, streams: streams)
            event(pool, id)
        }
        #expect(pool.lease().dialled.isEmpty)
        return pool
    }

    @Test("After an attempt without a byte, idle connections that have been silent as long close; younger ones stay")
    func idle() {
        let pool = MachineHarness()
        let ids = pool.idleConnections(4)
        // They became idle at 1, 2, 3 and 4 s.
        let observation = pool.noByteReceived(on: 99, since: .seconds(3))
        #expect(observation.removed == [ids[0]: .stale, ids[1]: .stale, ids[2]: .stale])
        #expect(pool.tryLease()?.connection == ids[3])
    }

    @Test("A prewarmed connection has been silent since it was opened")
    func prewarmed() {
        let pool = MachineHarness()
        pool.prewarm(1)
        pool.now = .seconds(5)
        pool.established(1)
        #expect(pool.noByteReceived(on: 99, since: .seconds(4)).removed.isEmpty)
        #expect(pool.noByteReceived(on: 99, since: .seconds(5)).removed == [1: .stale])
    }

    @Test(
        "After an attempt without a byte, connections in use that have been silent as long are probed and get no lease"
    )
    func inUse() {
        let pool = streams(3)
        pool.advance(by: .seconds(1))
        // The second connection receives a response.
        pool.lease()
        #expect(pool.release(2).ended.isEmpty)
        pool.advance(by: .seconds(30))
        let observation = pool.noByteReceived(on: 1, since: .milliseconds(500))
        #expect(observation.probed == [3], "neither the attempt's own nor one that has shown life since")
        #expect(observation.removed.isEmpty)
        #expect(pool.noByteReceived(on: 1, since: .milliseconds(500)).probed.isEmpty, "once is enough")
    }

    @Test("A doubted connection gets no lease until it is confirmed, and another may take its place")
    func doubted() {
        let pool = streams(1, maximum: 1)
        #expect(pool.lease().dialled.isEmpty)
        pool.doubted(1)
        let observation = pool.lease()
        #expect(observation.ended.isEmpty)
        #expect(observation.dialled == [2])
        #expect(pool.confirmed(1).connection(of: pool.waitersNamed) == 1)
        #expect(pool.established(2, streams: 10).ended.isEmpty)
        #expect(pool.lease().dialled.isEmpty, "there is one more than may be; no third is dialled")
        #expect(pool.snapshot.streams == 4)
        #expect(pool.snapshot.idle == 1)
    }

    @Test("The pool replaces at most as many doubted connections as the limit allows")
    func doubtedBound() {
        let pool = machine(dialling: 4, streams: 10) { $0.doubted($1) }
        #expect(pool.closed(1, .keepAliveFailed).dialled == [5])
    }

    @Test("At the limit of connections a new connection replaces a doubted one at once", arguments: [1, 4])
    func doubtedAtLimit(maximum: Int) {
        let pool = streams(1, maximum: maximum, connections: 1)
        #expect(pool.lease(fresh: true).retired == [1: .replaced], "one that is not doubted has to be retired")
        let doubting = streams(1, maximum: maximum, connections: 1)
        doubting.doubted(1)
        for fresh in [true, false] { #expect(doubting.lease(fresh: fresh).dialled == (fresh ? [2] : [])) }
        #expect(doubting.established(2, streams: 10).ended.count == 2)
        #expect(doubting.closed(1, .keepAliveFailed).dialled.isEmpty)
        #expect(doubting.snapshot.active == 1)
        #expect(doubting.snapshot.waiting == 0)
    }

    @Test("At the limit of connections, maximumMultiplexed bounds the number of doubted connections that are replaced")
    func doubtedBoundAtLimit() {
        let pool = machine(dialling: 3, streams: 10, connections: 1) { $0.doubted($1) }
        #expect(pool.closed(2, .keepAliveFailed).dialled == [4])
    }

    @Test("A connection that is confirmed during the dial of its replacement serves the waiters, and the dial ends")
    func confirmedDuringDial() {
        let pool = streams(1, connections: 1)
        pool.doubted(1)
        #expect(pool.lease().dialled == [2])
        let observation = pool.confirmed(1)
        #expect(observation.connection(of: pool.waitersNamed) == 1)
        #expect(observation.cancelledDials == [2])
        #expect(pool.established(2, streams: 10).removed == [2: .dialUnneeded])
    }

    @Test(
        "A connection that is confirmed after its replacement was dialled retires; an idle replacement closes instead",
        arguments: [false, true])
    func confirmedLater(isIdle: Bool) {
        let pool = streams(1, connections: 1)
        pool.doubted(1)
        pool.lease()
        pool.established(2, streams: 10)
        if isIdle { pool.release(2) }
        let observation = pool.confirmed(1)
        #expect(observation.removed == (isIdle ? [2: .replaced] : [:]))
        #expect(observation.retired == (isIdle ? [:] : [1: .replaced]))
        pool.lease()
        #expect(pool.release(1).removed == (isIdle ? [:] : [1: .replaced]))
        #expect(pool.snapshot.active + pool.snapshot.idle == 1)
    }

    @Test("A connection that is confirmed while its replacement's dial serves a prewarm ends the dial and the prewarm")
    func confirmedDuringPrewarming() {
        let pool = streams(1, connections: 1)
        pool.doubted(1)
        #expect(pool.prewarm(1).dialled == [2])
        let observation = pool.confirmed(1)
        #expect(observation.cancelledDials == [2])
        #expect(observation.ended == [pool.waitersNamed: .prewarmed])
    }

    @Test("A retired connection gives up its place too, up to the same number")
    func retiredAtLimit() {
        let pool = machine(dialling: 3, streams: 1, connections: 1) { $0.retired($1) }
        let observation = pool.release(2)
        #expect(observation.removed == [2: .goAway])
        #expect(observation.dialled == [4])
    }

    @Test("A connection without streams keeps its place")
    func singleAtLimit() {
        let pool = MachineHarness { $0.maximumConnections = 1 }
        pool.leasedConnections(1)
        pool.doubted(1)
        pool.retired(1)
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.closed(1, .timedOut).dialled == [2])
    }

    @Test("Without a limit of connections a doubted connection is replaced")
    func noLimit() {
        let pool = streams(1, connections: .max)
        pool.doubted(1)
        #expect(pool.lease().dialled == [2])
    }

    @Test("A doubted idle connection leaves the idle connections, and returns when it is confirmed")
    func doubtedIdle() {
        let pool = streams(1)
        pool.release(1)
        #expect(pool.doubted(1).idleDelta == -1)
        #expect(pool.tryLease() == nil)
        #expect(pool.confirmed(1).idleDelta == 1)
        #expect(pool.tryLease()?.connection == 1)
    }

    @Test(
        "A doubted connection whose last lease ends is not idle; it expires, or closes for a drain",
        arguments: [false, true])
    func doubtedUnused(drains: Bool) {
        let pool = streams(1)
        pool.doubted(1)
        #expect(pool.release(1).idleDelta == 0)
        #expect(pool.snapshot.active == 1)
        #expect(pool.snapshot.streams == 0)
        let removed = drains ? pool.beginDrain().removed : pool.advance(by: .seconds(90)).removed
        #expect(removed == [1: drains ? .shutdown : .idleTimeout])
    }

    @Test(
        "A doubted connection that the peer retires closes with its last lease, confirmed or not",
        arguments: [false, true])
    func doubtedAndRetired(isConfirmed: Bool) {
        let pool = streams(1)
        pool.doubted(1)
        pool.retired(1)
        if isConfirmed { #expect(pool.confirmed(1) == Observation()) }
        #expect(pool.lease().dialled == [2])
        #expect(pool.release(1).removed == [1: .goAway])
    }

    @Test("A connection without streams is not doubted")
    func withoutStreams() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.doubted(1)
        #expect(pool.noByteReceived(on: 99, since: .seconds(1)).probed.isEmpty)
        pool.release(1)
        #expect(pool.tryLease()?.connection == 1)
    }
}
