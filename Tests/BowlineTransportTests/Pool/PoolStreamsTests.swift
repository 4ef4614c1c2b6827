import Testing

@testable import BowlineTransport

/// Connections with streams: several leases each, a number that changes, and an end that is announced.
@Suite("Connections with streams")
struct PoolStreamsTests {
    private func harness(_ configure: (inout PoolConfiguration) -> Void = { _ in }) -> MachineHarness {
        MachineHarness {
            $0.expectation = .unknown
            configure(&$0)
        }
    }

    /// A machine with one connection of this many streams, which has just become idle.
    private func established(
        streams: Int, _ configure: (inout PoolConfiguration) -> Void = { _ in }
    ) -> (MachineHarness, Int) {
        let pool = harness(configure)
        let id = pool.lease().dialled[0]
        pool.established(id, streams: streams)
        pool.release(id)
        return (pool, id)
    }

    @Test("a cold burst of 100 requests makes one dial, and all of them get the connection it makes", .tags(.PO12))
    func coldBurst() {
        let pool = harness()
        var dialled: [Int] = []
        for _ in 0..<100 { dialled += pool.lease().dialled }
        #expect(dialled.count == 1)
        let observation = pool.established(dialled[0], streams: 128)
        #expect(observation.ended.count == 100)
        #expect((1...100).allSatisfy { observation.connection(of: $0) == dialled[0] })
        #expect(observation.dialled.isEmpty)
        #expect(pool.snapshot.streams == 100)
        #expect(pool.snapshot.active == 1)
    }

    @Test("when the first connection has no streams, the others dial as such a pool would", .tags(.PO12))
    func coldBurstWithoutStreams() {
        let pool = harness { $0.maximumConnections = 8 }
        var dialled: [Int] = []
        for _ in 0..<20 { dialled += pool.lease().dialled }
        #expect(dialled.count == 1)
        let observation = pool.established(dialled[0])
        #expect(observation.ended.count == 1)
        #expect(observation.dialled.count == 7)
    }

    @Test("When an origin returns to connections without streams, the pool dials for the waiters", .tags(.PO12))
    func backToSingle() {
        let (pool, id) = established(streams: 10)
        pool.closed(id)
        for _ in 0..<3 { pool.lease() }
        #expect(pool.snapshot.dialling == 1)
        let observation = pool.established(2)
        #expect(observation.ended.count == 1)
        #expect(observation.dialled.count == 2)
    }

    @Test(
        "Requests beyond a connection's streams dial further connections up to the limit, and then wait in order",
        .tags(.PO1))
    func furtherConnections() {
        let (pool, first) = established(streams: 2) { $0.maximumMultiplexed = 2 }
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.lease().dialled.isEmpty)
        let third = pool.lease()
        #expect(third.dialled.count == 1)
        pool.established(third.dialled[0], streams: 2)
        pool.lease()
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.snapshot.waiting == 2)
        #expect(pool.snapshot.streams == 4)
        #expect(pool.release(first).connection(of: pool.waitersNamed - 1) == first)
        #expect(pool.release(third.dialled[0]).connection(of: pool.waitersNamed) == third.dialled[0])
    }

    @Test("A connection is idle, and its clock runs, from the end of its last stream")
    func idleClock() {
        let (pool, id) = established(streams: 2) { $0.idleTimeout = .seconds(10) }
        pool.lease()
        pool.lease()
        pool.release(id)
        #expect(pool.advance(by: .seconds(60)).removed.isEmpty)
        pool.release(id)
        #expect(pool.advance(by: .seconds(9)).removed.isEmpty)
        #expect(pool.advance(by: .seconds(1)).removed == [id: .idleTimeout])
    }

    @Test("After exchanges, a lease that is returned unused changes neither the idle clock nor what the connection is")
    func returnedUnused() {
        let (pool, id) = established(streams: 10) { $0.idleTimeout = .seconds(10) }
        pool.advance(by: .seconds(8))
        pool.lease()
        pool.lease()
        pool.advance(by: .seconds(30))
        pool.release(id)
        // This request gets no connection that has been used.
        let fresh = pool.lease(fresh: true).dialled
        #expect(pool.returnUnused(id).ended.isEmpty)
        #expect(pool.established(fresh[0], streams: 10).connection(of: pool.waitersNamed) == fresh[0])
        #expect(pool.advance(by: .milliseconds(9_999)).removed.isEmpty)
        #expect(pool.advance(by: .milliseconds(1)).removed == [id: .idleTimeout])
    }

    @Test(
        "The first connection of a burst, returned unused by the last request, is not new for a request that needs a new one"
    )
    func returnedUnusedBeforeIdle() {
        let pool = harness { $0.expectation = .unknown }
        pool.lease()
        pool.established(1, streams: 10)
        pool.lease()
        pool.release(1)
        #expect(pool.lease(fresh: true).dialled == [2])
        #expect(pool.returnUnused(1).ended.isEmpty)
        #expect(pool.established(2, streams: 10).connection(of: 3) == 2)
    }

    @Test(
        "A stream limit that is lowered below the open streams and raised is never exceeded; all waiters are served",
        .tags(.H2g))
    func changingCapacity() {
        let (pool, id) = established(streams: 3) { $0.maximumMultiplexed = 1 }
        for _ in 0..<3 { pool.lease() }
        pool.capacityChanged(id, to: 1)
        pool.lease()
        #expect(pool.release(id).ended.isEmpty)
        #expect(pool.release(id).ended.isEmpty)
        #expect(pool.release(id).connection(of: pool.waitersNamed) == id)
        pool.capacityChanged(id, to: 0)
        pool.release(id)
        #expect(pool.snapshot.idle == 0, "nothing can be sent on it")
        #expect(pool.snapshot.active == 1, "nothing can be sent on it")
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.lease().ended.isEmpty)
        #expect(pool.capacityChanged(id, to: 2).ended.count == 2)
        #expect(pool.snapshot.streams == 2)
    }

    @Test("An idle connection whose stream limit is zero gets no lease until the limit is raised", .tags(.H2g))
    func idleWithoutCapacity() {
        let (pool, id) = established(streams: 3) { $0.maximumMultiplexed = 1 }
        #expect(pool.capacityChanged(id, to: 0).idleDelta == -1)
        #expect(pool.tryLease() == nil)
        #expect(pool.capacityChanged(id, to: 1).idleDelta == 1)
        #expect(pool.tryLease()?.connection == id)
    }

    @Test(
        "A connection that never allows a stream expires, by idleTimeout or age, and its origin goes cold",
        .tags(.H2g))
    func withdrawnExpires() {
        for lifetime in [nil, Duration.seconds(4)] {
            let pool = harness {
                $0.idleTimeout = .seconds(10)
                $0.maximumLifetime = lifetime
                $0.lifetimeJitter = 0
                $0.maximumMultiplexed = 1
            }
            pool.lease(wait: .seconds(1))
            pool.established(1, streams: 0)
            #expect(pool.advance(by: .seconds(1)).ended == [1: .timedOut(lastDialError: nil)])
            #expect(pool.snapshot.active == 1)
            #expect(!pool.closeIfCold())
            let removed = pool.advance(by: .seconds(9)).removed
            #expect(removed == [1: lifetime == nil ? .idleTimeout : .lifetimeExceeded])
            #expect(pool.closeIfCold())
        }
    }

    @Test(
        "A connection whose stream limit drops to zero, idle or in use, expires like an idle one",
        .tags(.H2g))
    func withdrawnLaterExpires() {
        for isInUse in [false, true] {
            let (pool, id) = established(streams: 3) { $0.idleTimeout = .seconds(10) }
            if isInUse { pool.lease() }
            pool.capacityChanged(id, to: 0)
            if isInUse { pool.release(id) }
            #expect(pool.advance(by: .seconds(9)).removed.isEmpty)
            #expect(pool.advance(by: .seconds(1)).removed == [id: .idleTimeout])
        }
    }

    @Test("A connection's remaining idle time continues when it allows streams again", .tags(.H2g))
    func withdrawnAndBack() {
        let (pool, id) = established(streams: 3) { $0.idleTimeout = .seconds(10) }
        pool.capacityChanged(id, to: 0)
        pool.advance(by: .seconds(6))
        #expect(pool.capacityChanged(id, to: 3).idleDelta == 1)
        #expect(pool.advance(by: .seconds(4)).removed == [id: .idleTimeout])
    }

    @Test("When the connection that requests wait for expires, the pool dials another", .tags(.H2g))
    func withdrawnWithWaiters() {
        let (pool, id) = established(streams: 3) {
            $0.idleTimeout = .seconds(10)
            $0.maximumMultiplexed = 1
        }
        pool.capacityChanged(id, to: 0)
        #expect(pool.lease().dialled.isEmpty)
        let observation = pool.advance(by: .seconds(10))
        #expect(observation.removed == [id: .idleTimeout])
        #expect(observation.dialled == [2])
    }

    @Test("a retired connection gets no more leases and is closed with its last", .tags(.H2a))
    func retired() {
        let (pool, id) = established(streams: 5)
        pool.lease()
        pool.lease()
        #expect(pool.retired(id).removed.isEmpty)
        #expect(pool.lease().dialled.count == 1)
        #expect(pool.release(id).removed.isEmpty)
        #expect(pool.release(id).removed == [id: .goAway])
    }

    @Test("Retired connections do not count against the limit of connections with streams")
    func retiredOnesDoNotCount() {
        let (pool, id) = established(streams: 1) { $0.maximumMultiplexed = 1 }
        pool.lease()
        #expect(pool.lease().dialled.isEmpty)
        #expect(pool.retired(id).dialled.count == 1)
    }

    @Test("A connection that is never idle is retired by age and by uses", .tags(.KA18))
    func retiredByAge() {
        let (old, first) = established(streams: 5) { $0.maximumLifetime = .seconds(10) }
        old.lease()
        old.advance(by: .seconds(11))
        let observation = old.lease()
        #expect(observation.retired == [first: .lifetimeExceeded])
        #expect(observation.dialled.count == 1)
        #expect(old.release(first).removed == [first: .lifetimeExceeded])

        let (used, second) = established(streams: 5) { $0.maximumUses = 3 }
        used.lease()
        used.lease()
        #expect(used.lease().retired == [second: .usesExceeded])
    }

    @Test(
        "A new connection serves no more waiters than its maximum of uses; the pool dials another",
        .tags(.KA18))
    func usesOfNewConnection() {
        let pool = harness { $0.maximumUses = 3 }
        let first = pool.lease().dialled[0]
        for _ in 0..<4 { pool.lease() }
        let observation = pool.established(first, streams: 100)
        #expect(observation.ended.count == 3)
        #expect(observation.retired == [first: .usesExceeded])
        #expect(observation.dialled.count == 1)
        #expect(pool.established(observation.dialled[0], streams: 100).ended.count == 2)
    }

    @Test("A raised stream limit does not let a connection exceed its maximum of uses", .tags(.KA18))
    func usesAndCapacity() {
        let (pool, id) = established(streams: 1) {
            $0.maximumUses = 3
            $0.maximumMultiplexed = 1
        }
        for _ in 0..<4 { pool.lease() }
        #expect(pool.capacityChanged(id, to: 100).ended.count == 1)
    }

    @Test("A request that must have a new connection gets one at the limit: another is retired for it")
    func freshAtLimit() {
        let (pool, id) = established(streams: 5) { $0.maximumMultiplexed = 1 }
        pool.lease()
        let observation = pool.lease(fresh: true)
        #expect(observation.retired == [id: .replaced])
        #expect(observation.dialled.count == 1)
        #expect(pool.established(observation.dialled[0], streams: 5).connection(of: pool.waitersNamed) == 2)
    }

    @Test("A drain closes unused connections, still serves the waiters, and then retires the connections in use")
    func drain() {
        let (pool, id) = established(streams: 1) { $0.maximumMultiplexed = 1 }
        pool.lease()
        pool.lease()
        #expect(pool.beginDrain().retired.isEmpty, "somebody waits for it")
        #expect(pool.release(id).retired == [id: .shutdown])
        #expect(pool.release(id).removed == [id: .shutdown])
    }

    @Test("When the address is gone the connection in use retires, and it stays so when the address comes back")
    func goneAddress() {
        let (pool, id) = established(streams: 5)
        pool.lease()
        #expect(pool.beginDrain(.addressGone).retired == [id: .addressGone])
        #expect(pool.lease().dialled == [2], "a request that had chosen the address")
        #expect(pool.established(2, streams: 5).connection(of: pool.waitersNamed) == 2)
        pool.endDrain()
        #expect(pool.release(2).removed == [2: .addressGone])
        #expect(pool.release(id).removed == [id: .addressGone])
        #expect(pool.lease().dialled == [3])
        pool.established(3, streams: 5)
        #expect(pool.release(3).removed.isEmpty)
        #expect(pool.snapshot.idle == 1)
    }

    @Test("Dials that become unneeded because a connection has streams are cancelled")
    func surplusDials() {
        let pool = MachineHarness { $0.expectation = .single }
        for _ in 0..<4 { pool.lease() }
        let observation = pool.established(1, streams: 100)
        #expect(observation.ended.count == 4)
        #expect(observation.cancelledDials == [2, 3, 4])
    }

    @Test("With pooling off each request has a connection of its own, streams or not")
    func poolingOff() {
        let pool = harness { $0.isEnabled = false }
        #expect(pool.lease().dialled.count == 1)
        #expect(pool.lease().dialled.count == 1)
        #expect(pool.established(1, streams: 100).ended.count == 1)
        #expect(pool.release(1).removed == [1: .poolingDisabled])
    }

    @Test(
        "Random events keep the stream limits and all connections, leave no waiter beside room, and the deltas add up",
        arguments: 1...20 as ClosedRange<UInt64>
    )
    func walk(seed: UInt64) throws {
        var random = PoolRandomWalkTests.Seeded(state: seed)
        for round in 0..<20 {
            var walk = StreamsWalk(&random)
            for step in 0..<300 {
                let broken = walk.step(&random, mayEnd: step > 250)
                try #require(broken == nil, "seed \(seed), round \(round), step \(step): \(broken ?? "")")
            }
        }
    }
}

/// A machine whose connections have streams, and a small model of the leases.
private struct StreamsWalk {
    private struct Open {
        var capacity: Int
        var leases = 0
        var isRetired = false
        var isDoubted = false
        var isLive: Bool { !isRetired && !isDoubted }
    }

    private let harness: MachineHarness
    private let limit: Int
    private let maximum: Int
    private var open: [Int: Open] = [:]
    private var dials: [Int] = []
    private var waiting: Set<Int> = []
    private var isEnded = false

    init(_ random: inout PoolRandomWalkTests.Seeded) {
        let limit = Int.random(in: 1...4, using: &random)
        self.limit = limit
        var configuration = PoolRandomWalkTests.configuration(&random)
        configuration.isEnabled = true
        configuration.maximumIdle = max(1, configuration.maximumIdle)
        configuration.maximumWaiting = nil
        maximum = configuration.maximumConnections ?? .max
        configuration.maximumMultiplexed = limit
        configuration.expectation = [.unknown, .streams(3)].randomElement(using: &random) ?? .unknown
        harness = MachineHarness { $0 = configuration }
    }

    mutating func step(_ random: inout PoolRandomWalkTests.Seeded, mayEnd: Bool) -> String? {
        let leased = open.filter { $0.value.leases > 0 }.keys.sorted()
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<35:
            waiting.insert(harness.waitersNamed + 1)
            let wait: Duration? = [nil, nil, .seconds(1), .seconds(5)].randomElement(using: &random) ?? nil
            return note(harness.lease(fresh: Int.random(in: 0..<10, using: &random) == 0, wait: wait))
        case 35..<60:
            guard let id = leased.randomElement(using: &random) else { break }
            open[id]?.leases -= 1
            let isUnused = Int.random(in: 0..<8, using: &random) == 0
            return note(isUnused ? harness.returnUnused(id) : harness.release(id))
        case 60..<72:
            guard let id = dials.randomElement(using: &random) else { break }
            dials.removeAll { $0 == id }
            let streams = Int.random(in: 0...5, using: &random)
            open[id] = Open(capacity: streams)
            return note(harness.established(id, streams: streams))
        case 72..<75:
            guard let id = dials.randomElement(using: &random) else { break }
            dials.removeAll { $0 == id }
            return note(harness.failed(id, for: Bool.random(using: &random) ? .peer : .resources))
        case 75..<79:
            guard let id = open.keys.sorted().randomElement(using: &random) else { break }
            let capacity = Int.random(in: 0...5, using: &random)
            open[id]?.capacity = capacity
            return note(harness.capacityChanged(id, to: capacity))
        case 79..<81:
            guard let id = open.keys.sorted().randomElement(using: &random) else { break }
            open[id]?.isDoubted = true
            return note(harness.doubted(id))
        case 81..<83:
            guard let id = open.keys.sorted().randomElement(using: &random) else { break }
            open[id]?.isDoubted = false
            return note(harness.confirmed(id))
        case 83..<84:
            let since = harness.now - .seconds(Int.random(in: 0...3, using: &random))
            return note(harness.noByteReceived(on: open.keys.min() ?? 0, since: since))
        case 84..<86:
            guard let id = open.keys.sorted().randomElement(using: &random) else { break }
            open[id]?.isRetired = true
            return note(harness.retired(id))
        case 86..<89:
            guard let id = open.keys.sorted().randomElement(using: &random) else { break }
            return note(harness.closed(id))
        case 89..<92:
            guard let id = waiting.sorted().randomElement(using: &random) else { break }
            return note(harness.cancel(id))
        case 92: return note(harness.beginDrain(.addressGone))
        case 93..<96: return note(harness.endDrain())
        case 98 where mayEnd: return note(harness.beginDrain())
        case 99 where mayEnd:
            isEnded = true
            return note(harness.closeAll())
        default: break
        }
        return note(harness.advance(by: .milliseconds(250 * Int.random(in: 0...8, using: &random))))
    }

    private mutating func note(_ observation: Observation) -> String? {
        dials += observation.dialled
        dials.removeAll { observation.cancelledDials.contains($0) }
        for id in observation.probed {
            guard let connection = open[id], connection.isLive, connection.leases > 0 else { return "probed in vain" }
            open[id]?.isDoubted = true
        }
        for (waiter, end) in observation.ended {
            if waiting.remove(waiter) == nil { return "waiter \(waiter) ended twice, or never waited" }
            guard case .granted(let granted) = end else { continue }
            guard let connection = open[granted.connection] else { return "granted what is not open" }
            if !connection.isLive { return "granted one that is retired or doubted" }
            if connection.leases >= connection.capacity { return "granted over the limit of streams" }
            open[granted.connection]?.leases += 1
        }
        // A connection that has reached its maximum of uses is retired with its last lease.
        for id in observation.retired.keys { open[id]?.isRetired = true }
        for (id, reason) in observation.removed {
            let leases = open.removeValue(forKey: id)?.leases ?? 0
            let mayCut: Set<CloseReason> = [.closedByPeer, .forced]
            if leases > 0, !mayCut.contains(reason) { return "\(reason) cut \(leases) leases" }
        }
        return brokenInvariant(hasDialled: !observation.dialled.isEmpty)
            ?? brokenLimit(hasDialled: !observation.dialled.isEmpty)
    }

    private func brokenInvariant(hasDialled: Bool) -> String? {
        let snapshot = harness.snapshot
        let leases = open.values.reduce(0) { $0 + $1.leases }
        if snapshot.streams != leases { return "counts \(snapshot.streams) streams, not \(leases)" }
        if snapshot.idle + snapshot.active != open.count { return "lost a connection: \(snapshot)" }
        if harness.idleSum != snapshot.idle { return "the idle deltas do not add up" }
        if snapshot.waiting != waiting.count { return "lost a waiter" }
        if snapshot.dialling != dials.count { return "lost a dial" }
        let live = open.values.count { $0.isLive }
        let doubted = open.values.count { $0.isDoubted && !$0.isRetired }
        if live + dials.count > limit, hasDialled { return "over the limit of connections" }
        if live + doubted + dials.count > 2 * limit, hasDialled { return "over the limit with those that are doubted" }
        let hasRoom = open.values.contains { $0.isLive && $0.leases < $0.capacity }
        if harness.machine.waiters.hasPlain, hasRoom { return "a request waits beside room" }
        let mayDial =
            live < limit && live + doubted < 2 * limit && counted < maximum && !harness.machine.isHoldingDials
        if !waiting.isEmpty, dials.isEmpty, mayDial, !isEnded { return "nobody dials for who waits" }
        return nil
    }

    /// The connections that count against the limit. A connection that takes no new requests gives up its place.
    private var counted: Int {
        open.count + dials.count - min(open.values.count { !$0.isLive }, limit)
    }

    private func brokenLimit(hasDialled: Bool) -> String? {
        guard counted > maximum else { return nil }
        if hasDialled { return "dialled over the limit of all connections" }
        if harness.snapshot.idle > 0 { return "keeps an idle connection over the limit" }
        if open.values.count(where: { $0.isLive }) > 1 { return "keeps places that are not its own" }
        return nil
    }
}
