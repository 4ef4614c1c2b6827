import Testing

@testable import BowlineTransport

/// `minimumIdle` with peers that close their connections, and with the limit over all origins.
@Suite("minimumIdle when connections are lost")
struct PoolMinimumIdleTests {
    @Test("a peer that answers each connection with GOAWAY is dialled after growing pauses, not in a loop", .tags(.PO9))
    func goAway() {
        let pool = MachineHarness {
            $0.minimumIdle = 1
            $0.expectation = .unknown
        }
        pool.lease()
        #expect(pool.established(1, streams: 10).dialled == [2])
        pool.random = 1
        var delays: [Duration] = []
        for id in 2...6 {
            pool.established(id, streams: 10)
            #expect(pool.retired(id).dialled.isEmpty)
            guard let due = pool.wakeUp else { break }
            delays.append(due.at.sinceStart - pool.now)
            #expect(pool.advance(by: due.at.sinceStart - pool.now).dialled == [id + 1])
        }
        #expect(delays == [200, 400, 800, 1600, 3200].map { Duration.milliseconds($0) })
    }

    @Test(
        "The pool does not go cold while minimumIdle applies, even if the peer has closed all connections", .tags(.PO9)
    )
    func isNotForgotten() {
        let pool = MachineHarness { $0.minimumIdle = 2 }
        pool.prewarm(2)
        pool.established(1)
        pool.established(2)
        #expect(pool.closed(1).dialled.isEmpty)
        #expect(pool.closed(2).dialled.isEmpty)
        #expect(!pool.closeIfCold())
        #expect(pool.advance(by: .seconds(1)).dialled == [3, 4])
    }

    @Test(
        "A pool that only minimumIdle keeps may be removed after sixteen failures in a row, if there are many pools"
    )
    func hopeless() {
        let pool = MachineHarness { $0.minimumIdle = 1 }
        pool.prewarm(1)
        for id in 1...16 {
            #expect(!pool.closeIfCold(includingHopeless: true))
            pool.failed(id)
            if id < 16 { #expect(pool.advance(by: .seconds(10)).dialled == [id + 1]) }
        }
        #expect(!pool.closeIfCold())
        #expect(pool.closeIfCold(includingHopeless: true))
    }

    @Test("An eviction for the limit over all origins is not replaced: no dial follows, and the pool may go cold")
    func eviction() {
        let pool = MachineHarness {
            $0.minimumIdle = 1
            $0.idleTimeout = nil
            $0.maximumLifetime = nil
        }
        pool.prewarm(1)
        pool.established(1)
        #expect(pool.evictOldest().removed == [1: .totalIdleCapacity])
        #expect(pool.advance(by: .seconds(3600)).dialled.isEmpty)
        #expect(pool.closeIfCold())
    }

    @Test(
        "After an eviction minimumIdle is kept again once a request finds an idle connection, 10 s later at the earliest"
    )
    func afterEviction() {
        let pool = MachineHarness { $0.minimumIdle = 1 }
        pool.prewarm(1)
        pool.established(1)
        pool.evictOldest()
        #expect(pool.lease().dialled == [2], "one for the request, none besides")
        pool.established(2)
        pool.release(2)
        #expect(pool.tryLease() != nil, "too early")
        #expect(pool.snapshot.dialling == 0, "too early")
        pool.release(2)
        pool.advance(by: .seconds(10))
        #expect(pool.tryLease() != nil)
        #expect(pool.snapshot.dialling == 1)
    }
}
