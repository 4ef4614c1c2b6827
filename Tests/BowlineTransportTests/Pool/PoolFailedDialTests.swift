import Testing

@testable import BowlineTransport

/// Which requests fail with a failed dial, and which continue to wait.
@Suite("Failed dials")
struct PoolFailedDialTests {
    private func cold(_ waiters: Int, _ configure: (inout PoolConfiguration) -> Void = { _ in }) -> MachineHarness {
        let pool = MachineHarness {
            $0.expectation = .unknown
            configure(&$0)
        }
        for _ in 0..<waiters { pool.lease() }
        return pool
    }

    @Test("In a cold burst a failed dial fails the longest-waiting request, and the pool dials again for the others")
    func coldBurst() {
        let pool = cold(50)
        #expect(pool.snapshot.dialling == 1)
        let failure = pool.failed(1, ScriptedDialError(number: 7))
        #expect(failure.ended == [1: .dialFailed(ScriptedDialError(number: 7))])
        #expect(failure.dialled == [2])
        let success = pool.established(2, streams: 100)
        #expect(success.ended.count == 49)
        #expect((2...50).allSatisfy { success.connection(of: $0) == 2 })
    }

    @Test("In a cold burst the third failure in a row fails all requests that have waited since the first failure")
    func coldBurstBound() {
        let pool = cold(50)
        #expect(pool.failed(1).ended.count == 1)
        pool.lease()
        #expect(pool.failed(2).ended.count == 1)
        let third = pool.failed(3, ScriptedDialError(number: 3))
        #expect(third.ended.count == 48)
        #expect(third.ended.values.allSatisfy { $0 == .dialFailed(ScriptedDialError(number: 3)) })
        #expect(third.ended[51] == nil)
        #expect(third.dialled == [4])
        #expect(pool.failed(4).ended == [51: .dialFailed(ScriptedDialError())])
        #expect(pool.snapshot.waiting == 0)
        #expect(pool.snapshot.dialling == 0)
    }

    @Test("A failed dial that is older than the request does not fail it; the next dial's failure does")
    func olderDial() {
        let pool = MachineHarness()
        #expect(pool.lease().dialled == [1])
        #expect(pool.lease().dialled == [2])
        #expect(pool.established(2).connection(of: 1) == 2)
        // The first dial is still in flight, and the request that waits for it came later.
        let older = pool.failed(1)
        #expect(older.ended.isEmpty)
        #expect(older.dialled == [3])
        #expect(pool.failed(3, ScriptedDialError(number: 3)).ended == [2: .dialFailed(ScriptedDialError(number: 3))])
        #expect(pool.snapshot.dialling == 0)
    }

    @Test("A successful dial resets the count of failures")
    func successBetween() {
        let pool = cold(20) { $0.maximumConnections = 1 }
        pool.failed(1)
        pool.failed(2)
        #expect(pool.established(3).connection(of: 3) == 3)
        #expect(pool.closed(3).dialled == [4])
        #expect(pool.failed(4).ended.count == 1)
        #expect(pool.failed(5).ended.count == 1)
        #expect(pool.failed(6).ended.count == 15)
    }

    @Test(
        "Dials that were in flight together count as one failure: when they fail, the other requests stay in the queue")
    func parallelFailures() {
        let pool = MachineHarness { $0.maximumConnections = 4 }
        for _ in 0..<20 { pool.lease() }
        for id in 1...4 { #expect(pool.failed(id).ended == [id: .dialFailed(ScriptedDialError())]) }
        for id in 5...8 { #expect(pool.failed(id).ended == [id: .dialFailed(ScriptedDialError())]) }
        #expect(pool.failed(9).ended.count == 9, "all but those that the three others under way are for")
        #expect(pool.snapshot.waiting == 3)
        #expect(pool.snapshot.dialling == 3)
        #expect(pool.established(10).connection(of: 18) == 10)
    }

    @Test("When the origin is known to have streams, a failed dial fails one request, and another dial follows")
    func knownStreams() {
        let pool = cold(0) { $0.expectation = .streams(10) }
        for _ in 0..<25 { pool.lease() }
        #expect(pool.snapshot.dialling == 3)
        let failure = pool.failed(1)
        #expect(failure.ended == [1: .dialFailed(ScriptedDialError())])
        #expect(failure.dialled == [4])
    }

    // MARK: Limits

    @Test(
        "A request that a dial covers does not fail at its limit: it takes the dial's outcome",
        arguments: [true, false])
    func coveredTakesOutcome(succeeds: Bool) {
        let pool = MachineHarness()
        pool.lease(wait: .seconds(10))
        #expect(pool.advance(by: .seconds(11)).ended.isEmpty)
        if succeeds {
            #expect(pool.established(1).connection(of: 1) == 1)
        } else {
            #expect(
                pool.failed(1, ScriptedDialError(number: 1)).ended == [1: .dialFailed(ScriptedDialError(number: 1))])
        }
    }

    @Test("Requests beyond their limit fail with the dial they waited for; the others wait for the next dial")
    func overdueFailWithDial() {
        let pool = cold(0)
        for _ in 0..<3 { pool.lease(wait: .seconds(1)) }
        for _ in 0..<2 { pool.lease(wait: .seconds(60)) }
        #expect(pool.advance(by: .seconds(10)).ended.isEmpty)
        let failure = pool.failed(1)
        #expect(failure.ended.keys.sorted() == [1, 2, 3])
        #expect(failure.dialled == [2])
        #expect(pool.established(2, streams: 5).ended.count == 2)
    }

    @Test("A dial that fails exactly at the limit fails its waiters, although the timer has not fired")
    func dialFailsAtTheLimit() {
        let pool = cold(0)
        for _ in 0..<50 { pool.lease(wait: .seconds(10)) }
        pool.now = .seconds(10)
        let failure = pool.failed(1)
        #expect(failure.ended.count == 50)
        #expect(failure.dialled.isEmpty)
        #expect(failure.ended.values.allSatisfy { $0 == .dialFailed(ScriptedDialError()) })
        #expect(pool.advance(by: .seconds(60)).ended.isEmpty)
    }

    @Test("Each dial covers one request, in queue order; the other requests fail at their limit")
    func uncovered() {
        let pool = MachineHarness { $0.maximumConnections = 2 }
        for _ in 0..<5 { pool.lease(wait: .seconds(10)) }
        let late = pool.advance(by: .seconds(10))
        #expect(late.ended.keys.sorted() == [3, 4, 5])
        #expect(late.ended.values.allSatisfy { $0 == .timedOut(lastDialError: nil) })
        pool.lease(wait: .seconds(1))
        pool.cancel(1)
        #expect(pool.advance(by: .seconds(5)).ended.isEmpty, "it has moved up to the second dial")
    }

    @Test("Requests that require a new connection use the first dials; the remaining dials cover the next requests")
    func coveredAcrossLines() {
        let pool = MachineHarness { $0.maximumConnections = 2 }
        pool.lease(fresh: true, wait: .seconds(10))
        pool.lease(wait: .seconds(10))
        pool.lease(fresh: true, wait: .seconds(10))
        pool.lease(wait: .seconds(10))
        #expect(pool.advance(by: .seconds(10)).ended.keys.sorted() == [3, 4])
    }

    @Test("A request beyond its limit fails at once when its dial is no longer in flight")
    func losesCover() {
        let pool = cold(0) { $0.maximumConnections = 1 }
        for _ in 0..<3 { pool.lease(wait: .seconds(1)) }
        #expect(pool.advance(by: .seconds(2)).ended.isEmpty)
        // The connection is for one request, and there may be no other.
        let observation = pool.established(1)
        #expect(observation.connection(of: 1) == 1)
        #expect(observation.ended[2] == .timedOut(lastDialError: nil))
        #expect(observation.ended[3] != nil)
    }

    @Test("If dials have no time limit, the request's limit ends its wait")
    func unboundedDials() {
        let pool = MachineHarness { $0.boundsDials = false }
        pool.lease(wait: .seconds(10))
        #expect(pool.advance(by: .seconds(10)).ended == [1: .timedOut(lastDialError: nil)])
    }

    // MARK: Resources

    /// A pool with five requests. The first has a connection; the other dials have failed twice for lack of resources.
    private func poolShortOfResources() -> MachineHarness {
        let pool = MachineHarness()
        for _ in 0..<5 { pool.lease() }
        for id in 2...5 { #expect(pool.failed(id, for: .resources) == Observation()) }
        #expect(pool.established(1).connection(of: 1) == 1)
        // The first success shows that resources are available again: the pool dials for each request.
        #expect(pool.snapshot.dialling == 4)
        for id in 6...9 { #expect(pool.failed(id, for: .resources) == Observation()) }
        return pool
    }

    @Test("Short of resources: requests wait for connections in use and for dials in flight")
    func shortage() {
        let pool = poolShortOfResources()
        #expect(pool.release(1).connection(of: 2) == 1)
        #expect(pool.snapshot.waiting == 3)
        #expect(pool.snapshot.dialling == 0)
    }

    @Test("Short of resources: one dial at a time tries again, after pauses that grow")
    func shortageRetries() {
        let pool = poolShortOfResources()
        #expect(pool.release(1).connection(of: 2) == 1)
        #expect(pool.advance(by: .milliseconds(149)).dialled.isEmpty)
        #expect(pool.advance(by: .milliseconds(1)).dialled == [10])
        #expect(pool.failed(10, for: .resources).ended.isEmpty)
        #expect(pool.advance(by: .milliseconds(249)).dialled.isEmpty, "the pause grows")
        #expect(pool.release(1).connection(of: 3) == 1)
        #expect(pool.release(1).connection(of: 4) == 1)
        #expect(pool.release(1).connection(of: 5) == 1)
        #expect(pool.snapshot.closed.isEmpty)
        #expect(pool.snapshot.opened == 1)
    }

    @Test("Short of resources without a connection: the first request fails at once, and all fail after three dials")
    func shortageAlone() {
        let pool = MachineHarness { $0.maximumConnections = 1 }
        for _ in 0..<10 { pool.lease() }
        #expect(pool.failed(1, for: .resources).ended == [1: .dialFailed(ScriptedDialError())])
        #expect(pool.failed(2, for: .resources).ended == [2: .dialFailed(ScriptedDialError())])
        #expect(pool.failed(3, for: .resources).ended.count == 8)
    }

    @Test("Short of resources: a closing connection frees a descriptor, and a dial follows at once")
    func shortageEnds() {
        let pool = MachineHarness()
        pool.leasedConnections(2)
        pool.lease()
        #expect(pool.failed(3, for: .resources).ended.isEmpty)
        #expect(pool.closed(1, .transportError).dialled == [4])
        #expect(pool.established(4).connection(of: 3) == 4)
    }

    @Test(
        "Short of resources: when the last connection in use closes, the pool dials for the waiting requests")
    func shortageWithoutOthers() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.lease()
        pool.lease()
        pool.failed(2, for: .resources)
        pool.failed(3, for: .resources)
        #expect(pool.closed(1).dialled.count == 1)
        #expect(pool.failed(4, for: .resources).ended == [2: .dialFailed(ScriptedDialError())])
        #expect(pool.snapshot.dialling == 1)
    }

    @Test("Short of resources: a wait has its limit, and the error names the dial's failure")
    func shortageLimit() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.lease(wait: .milliseconds(50))
        pool.failed(2, ScriptedDialError(number: 24), for: .resources)
        let late = pool.advance(by: .milliseconds(50))
        #expect(late.ended == [2: .timedOut(lastDialError: ScriptedDialError(number: 24))])
    }

    @Test("Short of resources: a cancelled request leaves the queue, and no dial is made for it")
    func shortageCancelled() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.lease()
        pool.failed(2, for: .resources)
        #expect(pool.cancel(2).ended == [2: .cancelled])
        #expect(pool.advance(by: .seconds(60)).dialled.isEmpty)
        #expect(pool.lease().dialled == [3], "the pause is over")
    }

    @Test("Short of resources: a drain serves the waiters with the connections in use, then closes them")
    func shortageDrain() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.lease()
        pool.failed(2, for: .resources)
        #expect(pool.beginDrain().ended.isEmpty)
        #expect(pool.release(1).connection(of: 2) == 1)
        #expect(pool.release(1).removed == [1: .shutdown])
        #expect(pool.closeIfCold())
        #expect(pool.wakeUp == nil)
    }

    @Test("Short of resources: a request that requires a new connection gets the descriptor of an unused one")
    func shortageFresh() {
        let pool = MachineHarness()
        let ids = pool.idleConnections(2)
        pool.lease(fresh: true)
        let first = pool.failed(3, for: .resources)
        #expect(first.removed == [ids[0]: .replaced])
        #expect(first.dialled == [4])
        #expect(first.ended.isEmpty)
        #expect(pool.established(4).connection(of: 3) == 4)
    }

    @Test("Short of resources: a request that requires a new connection gets the descriptor of one that is returned")
    func shortageFreshAmongUsed() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.lease(fresh: true)
        pool.failed(2, for: .resources)
        let observation = pool.release(1)
        #expect(observation.removed == [1: .replaced])
        #expect(observation.dialled == [3])
    }

    @Test("Short of resources: maximumWaiting counts the requests for which no dial can start")
    func shortageSaturation() {
        let pool = MachineHarness { $0.maximumWaiting = 2 }
        pool.leasedConnections(1)
        pool.lease()
        pool.failed(2, for: .resources)
        pool.lease()
        #expect(pool.lease().ended == [4: .saturated(waiting: 2)])
    }

    @Test("Short of resources: prewarm fails with the dial's error, and no request fails")
    func shortagePrewarm() {
        let pool = MachineHarness()
        pool.leasedConnections(1)
        pool.lease()
        #expect(pool.prewarm(1).dialled == [3])
        let failure = pool.failed(3, ScriptedDialError(number: 24), for: .resources)
        #expect(failure.ended == [3: .dialFailed(ScriptedDialError(number: 24))])
        #expect(pool.snapshot.waiting == 1)
    }

    @Test("Short of resources with pooling off: the end of one request makes room for the next dial")
    func shortageWithoutPooling() {
        let pool = MachineHarness { $0.isEnabled = false }
        pool.leasedConnections(1)
        pool.lease()
        #expect(pool.failed(2, for: .resources).ended.isEmpty)
        let observation = pool.release(1)
        #expect(observation.removed == [1: .poolingDisabled])
        #expect(observation.dialled == [3])
    }
}
