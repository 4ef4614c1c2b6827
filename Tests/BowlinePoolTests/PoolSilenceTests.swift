import Testing

@testable import BowlinePool

/// Connections that may be dead because another one has gone silent.
@Suite("Silent connections")
struct PoolSilenceTests {
    /// A machine with connections of 10 streams each, with one lease each.
    private func streams(_ count: Int, maximum: Int = 4) -> MachineHarness {
        let pool = MachineHarness {
            $0.expectation = .streams(1)
            $0.maximumMultiplexed = maximum
        }
        for id in 1...count {
            pool.lease()
            pool.established(id, streams: 1)
        }
        for id in 1...count { pool.capacityChanged(id, to: 10) }
        return pool
    }

    @Test("An attempt got no byte: idle connections that have been silent as long close, younger ones stay")
    func idle() {
        let pool = MachineHarness()
        let ids = pool.idleConnections(4)
        // They became free at 1, 2, 3 and 4 s.
        let observation = pool.noByteReceived(on: 99, since: .seconds(3))
        #expect(observation.removed == [ids[0]: .stale, ids[1]: .stale, ids[2]: .stale])
        #expect(pool.tryLease()?.connection == ids[3])
    }

    @Test("A connection that was opened in advance has been silent since then")
    func prewarmed() {
        let pool = MachineHarness()
        pool.prewarm(1)
        pool.now = .seconds(5)
        pool.established(1)
        #expect(pool.noByteReceived(on: 99, since: .seconds(4)).removed.isEmpty)
        #expect(pool.noByteReceived(on: 99, since: .seconds(5)).removed == [1: .stale])
    }

    @Test(
        "An attempt got no byte: connections with streams in use that have been silent as long are probed and get no lease"
    )
    func inUse() {
        let pool = streams(3)
        pool.advance(by: .seconds(1))
        // The second one answers something.
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
        #expect(observation.ended.isEmpty && observation.dialled == [2])
        #expect(pool.confirmed(1).connection(of: pool.waitersNamed) == 1)
        #expect(pool.established(2, streams: 10).ended.isEmpty)
        #expect(pool.lease().dialled.isEmpty, "there is one more than may be; no third is dialled")
        #expect(pool.snapshot.streams == 4 && pool.snapshot.idle == 1)
    }

    @Test("At most as many doubted connections are replaced as there may be")
    func doubtedBound() {
        let pool = MachineHarness {
            $0.expectation = .streams(10)
            $0.maximumMultiplexed = 2
        }
        for id in 1...4 {
            #expect(pool.lease().dialled == [id])
            pool.established(id, streams: 10)
            pool.doubted(id)
        }
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.closed(1, .keepAliveFailed).dialled == [5])
    }

    @Test("A doubted connection that is idle leaves the pool's idle ones, and comes back when it is confirmed")
    func doubtedIdle() {
        let pool = streams(1)
        pool.release(1)
        #expect(pool.doubted(1).idleDelta == -1)
        #expect(pool.tryLease() == nil)
        #expect(pool.confirmed(1).idleDelta == 1)
        #expect(pool.tryLease()?.connection == 1)
    }

    @Test("A doubted connection whose last lease ends is not idle; it expires, or closes for a drain")
    func doubtedUnused() {
        for drains in [false, true] {
            let pool = streams(1)
            pool.doubted(1)
            #expect(pool.release(1).idleDelta == 0)
            #expect(pool.snapshot.active == 1 && pool.snapshot.streams == 0)
            let removed = drains ? pool.beginDrain().removed : pool.advance(by: .seconds(90)).removed
            #expect(removed == [1: drains ? .shutdown : .idleTimeout])
        }
    }

    @Test("Doubt and an end that is announced: the connection closes with its last lease, confirmed or not")
    func doubtedAndRetired() {
        for isConfirmed in [false, true] {
            let pool = streams(1)
            pool.doubted(1)
            pool.retired(1)
            if isConfirmed { #expect(pool.confirmed(1) == Observation()) }
            #expect(pool.lease().dialled == [2])
            #expect(pool.release(1).removed == [1: .goAway])
        }
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
