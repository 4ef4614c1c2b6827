import Testing

@testable import BowlineTransport

/// A dial that takes longer than a request waits for it does not hold up later requests.
@Suite("Late dials")
struct PoolLateDialTests {
    @Test(
        "After a request has left at its deadline, the next one has a dial of its own",
        arguments: [DialExpectation.single, .unknown, .streams(100)])
    func afterDeadline(expectation: DialExpectation) {
        let pool = MachineHarness { $0.expectation = expectation }
        #expect(pool.lease(deadline: .seconds(3)).dialled == [1])
        #expect(pool.advance(by: .seconds(3)).ended == [1: .deadlineExceeded(lastDialError: nil)])
        #expect(pool.lease(deadline: .seconds(3)).dialled == [2])
        #expect(pool.established(2).connection(of: 2) == 2)
        #expect(pool.snapshot.dialling == 1)
    }

    @Test("The connection of a late dial is used, and its failure fails no request that came later")
    func lateEnd() {
        for isSuccess in [true, false] {
            let pool = MachineHarness()
            pool.lease(deadline: .seconds(3))
            pool.advance(by: .seconds(3))
            pool.lease(deadline: .seconds(3))
            if isSuccess {
                #expect(pool.established(1).connection(of: 2) == 1)
                #expect(pool.established(2).idleDelta == 1)
            } else {
                #expect(pool.failed(1).ended.isEmpty)
                #expect(pool.established(2).connection(of: 2) == 2)
            }
            #expect(pool.snapshot.dialling == 0)
        }
    }

    @Test("A dial that began long after the request does not become late with it")
    func youngDial() {
        let pool = MachineHarness { $0.expectation = .unknown }
        pool.lease(deadline: .seconds(3))
        pool.advance(by: .milliseconds(10))
        pool.lease(deadline: .seconds(3))
        #expect(pool.advance(by: .milliseconds(2_990)).dialled == [2])
        // The second request leaves when the second dial is 10 ms old.
        #expect(pool.advance(by: .milliseconds(10)).ended.keys.sorted() == [2])
        for _ in 1...50 { #expect(pool.lease(deadline: .seconds(3)).dialled.isEmpty) }
        #expect(pool.advance(by: .seconds(3)).ended.count == 50)
        #expect(pool.lease().dialled == [3])
    }

    @Test("A request that is cancelled makes a dial late only after a second")
    func cancellation() {
        let pool = MachineHarness()
        for request in 1...5 {
            #expect(pool.lease().dialled == (request == 1 ? [1] : []))
            pool.advance(by: .milliseconds(199))
            pool.cancel(request)
        }
        pool.advance(by: .milliseconds(5))
        #expect(pool.lease().dialled.isEmpty)
        pool.cancel(6)
        #expect(pool.lease().dialled == [2])
    }

    @Test("A late dial keeps its place within the limit, and the request that waits gets its connection")
    func atLimit() {
        let pool = MachineHarness { $0.maximumConnections = 1 }
        pool.lease(deadline: .seconds(3))
        pool.advance(by: .seconds(3))
        #expect(pool.lease(deadline: .seconds(3)).dialled.isEmpty)
        pool.advance(by: .seconds(1))
        #expect(pool.established(1).connection(of: 2) == 1)
    }

    @Test("A pool that keeps no connection cancels a late dial")
    func notKept() {
        for configure in [{ $0.isEnabled = false }, { $0.maximumIdle = 0 }] as [(inout PoolConfiguration) -> Void] {
            let pool = MachineHarness(configure)
            pool.lease(deadline: .seconds(3))
            #expect(pool.advance(by: .seconds(3)).cancelledDials == [1])
            #expect(pool.snapshot.dialling == 0)
        }
    }

    @Test("A pool that keeps no connection, or drains, gives a waiting request the connection of a late dial")
    func notKeptButNeeded() {
        for configure in [{ $0.isEnabled = false }, { $0.maximumIdle = 0 }, { _ in }]
            as [(
                inout PoolConfiguration
            ) -> Void]
        {
            let pool = MachineHarness(configure)
            pool.lease()
            pool.advance(by: .milliseconds(100))
            pool.lease(deadline: .milliseconds(300))
            #expect(pool.advance(by: .milliseconds(300)).cancelledDials.isEmpty)
            #expect(pool.beginDrain().cancelledDials.isEmpty)
            #expect(pool.established(1).connection(of: 1) == 1)
            #expect(pool.snapshot.dialling == 0)
        }
        let shared = MachineHarness {
            $0.maximumIdle = 0
            $0.expectation = .streams(100)
        }
        shared.lease()
        shared.lease(deadline: .seconds(3))
        #expect(shared.advance(by: .seconds(3)).cancelledDials.isEmpty)
        #expect(shared.established(1, streams: 100).connection(of: 1) == 1)
    }

    @Test(
        "While requests with a short limit come and go, a request fails with the dial that was started for it",
        arguments: [DialExpectation.single, .unknown, .streams(100)])
    func patientRequest(expectation: DialExpectation) {
        let pool = MachineHarness { $0.expectation = expectation }
        pool.lease(wait: .seconds(10))
        pool.advance(by: .seconds(5))
        pool.lease(deadline: .seconds(4))
        pool.advance(by: .seconds(4))
        #expect(pool.machine.table.lateDialCount == 1)
        pool.advance(by: .seconds(1))
        #expect(pool.failed(1, ScriptedDialError(number: 1)).ended == [1: .dialFailed(ScriptedDialError(number: 1))])
    }

    @Test("Requests with a short limit do not start dial after dial to a host that does not answer")
    func noStorm() {
        let pool = MachineHarness { $0.maximumConnections = nil }
        for _ in 1...100 {
            pool.lease(deadline: .milliseconds(100))
            pool.advance(by: .milliseconds(100))
        }
        #expect(pool.machine.table.lateDialCount == 4)
        #expect(pool.snapshot.dialling == 5)
    }

    @Test("A call of prewarm does not wait for a late dial")
    func prewarmBesideLateDial() {
        let pool = MachineHarness()
        pool.lease(deadline: .seconds(3))
        pool.advance(by: .seconds(3))
        #expect(pool.prewarm(1).dialled == [2])
        #expect(pool.established(2).ended == [2: .prewarmed])
        #expect(pool.failed(1).ended.isEmpty)
    }

    @Test("Short of descriptors, a late dial does not stop the dial that looks again")
    func shortOfDescriptors() {
        let pool = MachineHarness()
        pool.lease(deadline: .seconds(3))
        pool.advance(by: .seconds(3))
        pool.lease(wait: .seconds(10))
        #expect(pool.failed(2, for: .resources).ended.isEmpty)
        #expect(pool.advance(by: .seconds(1)).dialled == [3])
        #expect(pool.established(3).connection(of: 2) == 3)
    }

    @Test("If the dialer sets no limit, a dial ends when it has taken as long as a request may wait")
    func unboundedDials() {
        let pool = MachineHarness {
            $0.boundsDials = false
            $0.expectation = .unknown
        }
        pool.lease(wait: .seconds(10))
        #expect(pool.advance(by: .seconds(10)).cancelledDials == [1])
        #expect(pool.snapshot.dialling == 0)
        // The deadlines of these requests pass before their limits.
        #expect(pool.lease(wait: .seconds(10), deadline: .seconds(4)).dialled == [2])
        #expect(pool.advance(by: .seconds(4)).cancelledDials.isEmpty)
        #expect(pool.lease(wait: .seconds(10), deadline: .seconds(4)).dialled == [3])
        #expect(pool.advance(by: .seconds(4)).cancelledDials.isEmpty)
        #expect(pool.lease(wait: .seconds(10), deadline: .seconds(4)).dialled == [4])
        #expect(pool.advance(by: .seconds(4)).cancelledDials == [2])
        pool.closeAll()
        #expect(pool.snapshot.dialling == 0)
    }

    @Test("A call of prewarm that waits for a dial which is ended fails")
    func prewarm() {
        let pool = MachineHarness { $0.boundsDials = false }
        pool.lease(wait: .seconds(10))
        #expect(pool.prewarm(1).ended.isEmpty)
        #expect(pool.advance(by: .seconds(10)).ended.keys.sorted() == [1, 2])
    }

    @Test("Very many requests that leave together, and as many late dials, take little time")
    func manyAtOnce() {
        let pool = MachineHarness {
            $0.maximumConnections = nil
            $0.maximumWaiting = nil
        }
        for _ in 1...20_000 { pool.lease(deadline: .seconds(3)) }
        #expect(pool.advance(by: .seconds(3)).ended.count == 20_000)
        #expect(pool.snapshot.dialling == 20_000)
        #expect(pool.machine.table.lateDialCount == 4)
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.beginDrain().cancelledDials.count == 19_995)
        #expect(pool.established(5).connection(of: 20_001) == 5)
    }
}
