import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Tokens of a store")
struct TokenSupplyTests {
    private static let limit = RateLimit(perSecond: 100, burst: 10)

    private static func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    private func take(
        _ supply: inout DrivenSupply, _ ticket: UInt64, at now: Int64, wait: Int64 = 1000, deadline: Int64? = nil
    ) -> (TokenSupplyStateMachine.Entry, TokenSupplyStateMachine.Effects) {
        supply.take(
            ticket, at: Self.at(now), waitEnds: Self.at(now + wait), deadline: deadline.map(Self.at), Self.limit)
    }

    @Test(
        "The first attempt asks the store and waits; the attempts that come meanwhile get their tokens in order",
        .tags(.RA6))
    func firstAsk() throws {
        var supply = DrivenSupply()
        let (entry, effects) = take(&supply, 1, at: 0)
        #expect(entry == .waits(until: Self.at(1000), thenRefused: .waitTooLong))
        let ask = try #require(effects.ask)
        #expect(ask.count == 1)
        for ticket in UInt64(2)...4 { #expect(take(&supply, ticket, at: 1, deadline: 500).1.ask == nil) }
        let answered = supply.storeAnswered(ask.number, RateLimitGrant(count: 1), at: Self.at(2), Self.limit)
        #expect(answered.settled == [.init(ticket: 1, turn: .go(.store))])
        let next = try #require(answered.ask)
        #expect(next.count == 3)
        let rest = supply.storeAnswered(next.number, RateLimitGrant(count: 3), at: Self.at(3), Self.limit)
        #expect(rest.settled.map(\.ticket) == [2, 3, 4])
        #expect(supply.machine.state == .ready)
    }

    @Test(
        "A store with too few tokens is asked again after its pause; an attempt that would wait too long is refused at once",
        .tags(.RA6)
    )
    func tooFew() throws {
        var supply = DrivenSupply()
        let ask = try #require(take(&supply, 1, at: 0, wait: 100).1.ask)
        _ = take(&supply, 2, at: 0, wait: 900)
        let answered = supply.storeAnswered(
            ask.number, RateLimitGrant(count: 0, retryAfter: .milliseconds(200)), at: Self.at(1), Self.limit)
        #expect(answered.settled == [.init(ticket: 1, turn: .expired(retryAfter: .milliseconds(200)))])
        #expect(answered.timer?.ends == Self.at(201))
        // One more than the tokens that can come within its wait.
        let (entry, effects) = take(&supply, 3, at: 100, wait: 105)
        #expect(entry == .refused(.waitTooLong, retryAfter: .milliseconds(111)))
        #expect(effects == .init())
        let (late, _) = take(&supply, 4, at: 100, deadline: 211)
        #expect(late == .refused(.deadline, retryAfter: .milliseconds(111)))
        let number = try #require(answered.timer?.number)
        let again = supply.timerFired(number, at: Self.at(201), Self.limit)
        #expect(again.ask?.count == 1)
        #expect(supply.timerFired(number, at: Self.at(201), Self.limit) == .init())
    }

    /// A machine that has used this many tokens per second for some seconds.
    private func warm(perSecond: Int64, until end: Int64) throws -> (DrivenSupply, asks: Int, attempts: Int) {
        var supply = DrivenSupply()
        let limit = RateLimit(perSecond: 1000, burst: 100)
        var asks = 0
        var attempts = 0
        for now in stride(from: 0, to: end, by: Int(1000 / perSecond)) {
            attempts += 1
            let (_, effects) = supply.take(
                UInt64(attempts), at: Self.at(now), waitEnds: Self.at(now + 1000), limit)
            if let ask = effects.ask {
                asks += 1
                let grant = RateLimitGrant(count: ask.count)
                _ = supply.storeAnswered(ask.number, grant, at: Self.at(now), limit)
            }
        }
        return (supply, asks, attempts)
    }

    @Test("Under load, one question fetches the tokens of several attempts", .tags(.RA6))
    func batches() throws {
        let (_, asks, attempts) = try warm(perSecond: 250, until: 10_000)
        #expect(attempts == 2500)
        #expect(asks < attempts / 4)
    }

    @Test("Tokens that are not used within a second are dropped", .tags(.RA6))
    func shelfLife() throws {
        var (supply, _, attempts) = try warm(perSecond: 250, until: 5000)
        let limit = RateLimit(perSecond: 1000, burst: 100)
        func take(at now: Int64, _ supply: inout DrivenSupply) -> TokenSupplyStateMachine.Entry {
            attempts += 1
            return supply.take(UInt64(attempts), at: Self.at(now), waitEnds: Self.at(now + 1000), limit).0
        }
        #expect(take(at: 5500, &supply) == .go(.store))
        guard case .waits = take(at: 6100, &supply) else {
            Issue.record("an old token was used")
            return
        }
    }

    @Test(
        "If the store fails, attempts get the share that the process has used, and waiting ones their turn in order",
        .tags(.RA7))
    func share() throws {
        var (supply, _, attempts) = try warm(perSecond: 250, until: 8000)
        let limit = RateLimit(perSecond: 1000, burst: 100)
        var question: TokenSupplyStateMachine.Ask?
        var waiting: [UInt64] = []
        while question == nil || waiting.count < 40 {
            attempts += 1
            let (entry, effects) = supply.take(
                UInt64(attempts), at: Self.at(9500), waitEnds: Self.at(10_500), limit)
            question = effects.ask ?? question
            if case .waits = entry { waiting.append(UInt64(attempts)) }
        }
        let failed = supply.storeFailed(try #require(question).number, at: Self.at(9600), limit)
        #expect(supply.machine.isStoreAway)
        // 250/s for a tenth of a second are there at once; the last second and a half was idle, so a little less.
        var order = failed.settled.map(\.ticket)
        #expect((18...25).contains(order.count))
        // The rest comes one after another, in order.
        var timer = failed.timer
        var gaps: [Int64] = []
        var now = Self.at(9600)
        while let next = timer {
            gaps.append(now.duration(to: next.ends).saturatingNanoseconds / 1_000_000)
            now = next.ends
            let fired = supply.timerFired(next.number, at: now, limit)
            order += fired.settled.map(\.ticket)
            timer = fired.timer
        }
        #expect(order == waiting)
        #expect(gaps.allSatisfy { (3...6).contains($0) })
    }

    @Test("A process that has never got a token from the store uses a tenth of the limit", .tags(.RA7))
    func unknownShare() throws {
        var supply = DrivenSupply()
        let ask = try #require(take(&supply, 1, at: 0).1.ask)
        let failed = supply.storeFailed(ask.number, at: Self.at(50), Self.limit)
        // Ten per second: half a token is there, and the other half comes after 50 ms.
        #expect(failed.settled == [])
        let timer = try #require(failed.timer)
        #expect(timer.ends == Self.at(100))
        let fired = supply.timerFired(timer.number, at: timer.ends, Self.limit)
        #expect(fired.settled.map(\.ticket) == [1])
        guard case .waits = take(&supply, 2, at: 100).0 else {
            Issue.record("more than a tenth")
            return
        }
    }

    @Test("While the store is away, no timer sleeps longer than attempts wait", .tags(.RA7))
    func shortTimer() throws {
        var supply = DrivenSupply()
        // A tenth of it is one token in ten seconds.
        let slow = RateLimit(perSecond: 1, burst: 1)
        let first = supply.take(1, at: Self.at(0), waitEnds: Self.at(500), deadline: nil, slow)
        let ask = try #require(first.1.ask)
        let failed = supply.storeFailed(ask.number, at: Self.at(100), slow)
        let timer = try #require(failed.timer)
        #expect(timer.ends == Self.at(500))
        let fired = supply.timerFired(timer.number, at: Self.at(500), slow)
        #expect(fired.settled == [.init(ticket: 1, turn: .expired(retryAfter: nil))])
        #expect(fired.timer == nil)
        #expect(supply.machine.waiting == 0)
    }

    @Test(
        "Attempts that wait for the local bucket get the store's tokens when it answers again, and not both",
        .tags(.RA7))
    func backAgain() throws {
        var supply = DrivenSupply()
        let ask = try #require(take(&supply, 1, at: 0).1.ask)
        let failed = supply.storeFailed(ask.number, at: Self.at(50), Self.limit)
        for ticket in UInt64(2)...5 { _ = take(&supply, ticket, at: 60) }
        #expect(supply.machine.waiting == 5)
        let (entry, effects) = take(&supply, 6, at: 300)
        #expect(entry == .waits(until: Self.at(1300), thenRefused: .waitTooLong))
        let probe = try #require(effects.ask)
        #expect(probe.count == 6)
        let answered = supply.storeAnswered(probe.number, RateLimitGrant(count: 6), at: Self.at(301), Self.limit)
        #expect(answered.settled == (1...6).map { .init(ticket: $0, turn: .go(.store)) })
        #expect(supply.timerFired(try #require(failed.timer).number, at: Self.at(400), Self.limit) == .init())
    }

    @Test("A store that is away is asked again after growing pauses, and its answer ends the local bucket", .tags(.RA7))
    func recovery() throws {
        var supply = DrivenSupply()
        var ask = try #require(take(&supply, 1, at: 0).1.ask)
        var now: Int64 = 0
        var ticket: UInt64 = 1
        var pauses: [Int64] = []
        for _ in 0..<7 {
            _ = supply.storeFailed(ask.number, at: Self.at(now), Self.limit)
            let failedAt = now
            while true {
                now += 10
                ticket += 1
                if let next = take(&supply, ticket, at: now, wait: 0).1.ask {
                    ask = next
                    break
                }
            }
            pauses.append(now - failedAt)
        }
        #expect(pauses == [250, 500, 1000, 2000, 4000, 5000, 5000])
        #expect(supply.machine.state == .probing)
        _ = supply.storeAnswered(ask.number, RateLimitGrant(count: ask.count), at: Self.at(now), Self.limit)
        #expect(!supply.machine.isStoreAway)
        #expect(take(&supply, ticket + 1, at: now).0 == .go(.store))
        // The answer has reset the pauses.
        let again = try #require(take(&supply, ticket + 2, at: now + 2000).1.ask)
        _ = supply.storeFailed(again.number, at: Self.at(now + 2000), Self.limit)
        #expect(take(&supply, ticket + 3, at: now + 2240, wait: 0).1.ask == nil)
        #expect(take(&supply, ticket + 4, at: now + 2250, wait: 0).1.ask != nil)
    }

    @Test("A token that comes back goes to the attempt that waits longest", .tags(.RA6))
    func withdrawn() throws {
        var supply = DrivenSupply()
        let ask = try #require(take(&supply, 1, at: 0).1.ask)
        let answered = supply.storeAnswered(ask.number, RateLimitGrant(count: 1), at: Self.at(1), Self.limit)
        #expect(answered.settled.map(\.ticket) == [1])
        _ = take(&supply, 2, at: 1)
        _ = take(&supply, 3, at: 1)
        #expect(supply.withdrawn(.store, at: Self.at(2), Self.limit).settled == [.init(ticket: 2, turn: .go(.store))])
        let wasWaiting = supply.waitEnded(3)
        #expect(wasWaiting)
        #expect(supply.withdrawn(.store, at: Self.at(2), Self.limit).settled == [])
        #expect(take(&supply, 4, at: 3).0 == .go(.store))
    }

    // MARK: A fleet

    @Test("Four processes stay within two percent of their common limit, also while the store is away", .tags(.RA7))
    func fleet() {
        for seed in UInt64(1)...5 {
            var fleet = SimulatedFleet(seed: seed, processes: 4, RateLimit(perSecond: 1000, burst: 100))
            fleet.run(until: 5000)
            let before = fleet.gone
            fleet.isStoreAway = true
            fleet.run(until: 9000)
            let away = fleet.gone - before
            fleet.isStoreAway = false
            fleet.run(until: 15_000)
            #expect((3900...4100).contains(away), "seed \(seed): \(away) in 4 s without the store")
            #expect((9800...10_200).contains(fleet.gone - before), "seed \(seed): \(fleet.gone - before) in 10 s")
            #expect(fleet.questions < fleet.gone / 2, "seed \(seed): \(fleet.questions) questions")
            #expect(fleet.waiting < 4 * 700, "seed \(seed)")
        }
    }

    // MARK: Walks

    @Test("The table in the machine's documentation has exactly the transitions that random walks make")
    func table() throws {
        var random = SeededRandom.fromEnvironment()
        var made: Set<DocumentedTransition> = []
        for _ in 0..<2000 {
            var walk = SupplyWalk(seed: random.next())
            walk.run(steps: 100)
            made.formUnion(walk.supply.transitions)
        }
        // Inputs that change nothing because their number is old are no transitions.
        let real = made.filter {
            $0.state != $0.next || ["take", "withdrawn"].contains($0.input) || $0.result == "yes"
        }
        let documented = try DocumentedTransition.expandedRows(of: "TokenSupplyStateMachine.swift")
        #expect(real.subtracting(documented) == [])
        #expect(documented.subtracting(made) == [])
    }

    @Test("Random walks of 100,000 steps: only tokens that the store gave, in order, and no attempt waits in vain")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        let walks = RandomWalks.usually(200, steps: 500)
        for _ in 0..<walks.count {
            let seed = random.next()
            var walk = SupplyWalk(seed: seed)
            walk.run(steps: walks.steps)
            #expect(walk.violations == [], "seed \(seed)")
            if !walk.violations.isEmpty { return }
        }
    }

    @Test("Extreme limits, times and answers do not trap", .tags(.BI4))
    func extremes() {
        let instants = [Int64.min, -1, 0, Int64.max - 1, Int64.max].map(MonotonicInstant.init(nanoseconds:))
        let longest = Duration.seconds(Int64.max)
        var calls = 0
        for limit in [
            RateLimit(perSecond: 0, burst: 0), RateLimit(perSecond: .nan, burst: .min),
            RateLimit(perSecond: .infinity, burst: .max), RateLimit(perSecond: -5, burst: -5),
            RateLimit(perSecond: 1_000_000, burst: 1_000_000),
        ] {
            var machine = TokenSupplyStateMachine()
            for now in instants {
                for grant in [
                    RateLimitGrant(count: .max, retryAfter: longest),
                    RateLimitGrant(count: .min, retryAfter: .zero - longest),
                ] {
                    for fails in [false, true] {
                        calls += 1
                        let (_, effects) = machine.take(
                            UInt64(calls), at: now, waitEnds: .distantFuture, deadline: nil, limit)
                        guard let ask = effects.ask else { continue }
                        _ =
                            fails
                            ? machine.storeFailed(ask.number, at: now, limit)
                            : machine.storeAnswered(ask.number, grant, at: now, limit)
                    }
                }
            }
        }
        #expect(calls == 100)
    }
}
