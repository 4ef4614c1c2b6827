import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("The rate gate")
struct RateStateMachineTests {
    /// Ten per second, two at once, and waits of at most half a second.
    private static let rule = RateRule(
        pace: .init(perSecond: 10, burst: 2), burst: 2, maximumWait: .milliseconds(500))
    /// No rate: only pauses count.
    private static let sharing = RateRule(pace: nil, burst: 10, maximumWait: .seconds(1))

    private static func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    /// The decision in a few words: `go`, `wait 100`, `waitTooLong 600`.
    private static func text(_ decision: RateDecision, at now: Int64) -> String {
        func milliseconds(_ duration: Duration) -> Int64 { duration.saturatingNanoseconds / 1_000_000 }
        return switch decision {
        case .go: "go"
        case .wait(let instant, _): "wait \(milliseconds(at(now).duration(to: instant)))"
        case .refuse(let reason, let retryAfter): "\(reason) \(retryAfter.map { "\(milliseconds($0))" } ?? "-")"
        }
    }

    private static func reservation(_ decision: RateDecision) -> RateReservation? {
        switch decision {
        case .go(let reservation), .wait(_, let reservation): reservation
        case .refuse: nil
        }
    }

    // MARK: Table

    @Test(
        "The burst goes at once; then each attempt waits one interval longer, until the wait is too long", .tags(.RA1))
    func bucket() {
        var rate = DrivenRate()
        let decisions = (0..<8).map { _ in Self.text(rate.take(at: Self.at(0), Self.rule), at: 0) }
        #expect(
            decisions == [
                "go", "go", "wait 100", "wait 200", "wait 300", "wait 400", "wait 500", "waitTooLong 600",
            ])
        #expect(Self.text(rate.take(at: Self.at(600), Self.rule), at: 600) == "go")
        // A refused attempt has taken nothing. After a pause the bucket is full again, not fuller.
        let later = (0..<3).map { _ in Self.text(rate.take(at: Self.at(5000), Self.rule), at: 5000) }
        #expect(later == ["go", "go", "wait 100"])
    }

    @Test("A wait that would end at the deadline or later is refused at once", .tags(.GA3))
    func deadline() {
        var rate = DrivenRate()
        for _ in 0..<2 { _ = rate.take(at: Self.at(0), Self.rule) }
        #expect(Self.text(rate.take(at: Self.at(0), deadline: Self.at(100), Self.rule), at: 0) == "deadline 100")
        #expect(Self.text(rate.take(at: Self.at(0), deadline: Self.at(101), Self.rule), at: 0) == "wait 100")
    }

    @Test("A token that comes back is used by the next attempt", .tags(.GA6))
    func withdrawn() throws {
        var rate = DrivenRate()
        let decisions = (0..<5).map { _ in rate.take(at: Self.at(0), Self.rule) }
        // From the middle: its slot is free, and the attempts behind it keep theirs.
        rate.withdrawn(try #require(Self.reservation(decisions[3])), at: Self.at(50))
        #expect(Self.text(rate.take(at: Self.at(50), Self.rule), at: 50) == "wait 150")
        // The last one.
        rate.withdrawn(try #require(Self.reservation(decisions[4])), at: Self.at(50))
        #expect(Self.text(rate.take(at: Self.at(50), Self.rule), at: 50) == "wait 250")
        // One that had gone.
        rate.withdrawn(try #require(Self.reservation(decisions[0])), at: Self.at(60))
        #expect(Self.text(rate.take(at: Self.at(60), Self.rule), at: 60) == "go")
    }

    @Test(
        "A turn that was given back is not used so late that more attempts than the burst go at once", .tags(.GA6, .RA1)
    )
    func lateUse() {
        /// When a taker at 1,500 goes, after the turn at 1,000 was given back in time.
        func next(burst: Int) -> Int64 {
            let pace = TokenSchedule.Pace(interval: 1000, burst: burst)
            var schedule = TokenSchedule()
            let at = { MonotonicInstant(nanoseconds: $0) }
            let tokens = (0..<burst + 2).map { _ in schedule.take(at: at(0), opening: nil, pace) }
            #expect(tokens.suffix(2).map(\.slot) == [at(1000), at(2000)])
            schedule.giveBack(tokens[burst], at: at(500))
            // In time it would be used as it is.
            #expect(schedule.next(at: at(500), opening: nil, pace) == at(1000))
            return schedule.take(at: at(1500), opening: nil, pace).slot.nanoseconds
        }
        // With a burst of 1, attempts at 1,500 and 2,000 would be too close.
        #expect(next(burst: 1) == 3000)
        #expect(next(burst: 2) == 1500)
    }

    @Test("Attempts that are cancelled one after another leave a full bucket", .tags(.GA6))
    func allWithdrawn() {
        var rate = DrivenRate()
        for _ in 0..<1000 {
            let decisions = (0..<6).map { _ in rate.take(at: Self.at(0), Self.rule) }
            #expect(decisions.allSatisfy { Self.reservation($0) != nil })
            for decision in decisions.reversed() {
                if let reservation = Self.reservation(decision) { rate.withdrawn(reservation, at: Self.at(0)) }
            }
        }
        #expect(rate.machine.isIdle(at: Self.at(0)))
    }

    // MARK: Pauses

    @Test("A pause closes the gate for all; afterwards attempts go at the rate and not all at once", .tags(.RA2, .RA3))
    func closed() {
        var rate = DrivenRate()
        rate.answered(RateAdvice(pause: .milliseconds(300)), at: Self.at(0))
        #expect(rate.machine.closedFor(at: Self.at(100)) == .milliseconds(200))
        let decisions = (0..<4).map { _ in Self.text(rate.take(at: Self.at(0), Self.rule), at: 0) }
        #expect(decisions == ["wait 300", "wait 400", "wait 500", "closedByService 600"])
        #expect(rate.machine.closedFor(at: Self.at(300)) == nil)
    }

    @Test("When a closed gate opens, its bucket has one token", .tags(.RA3))
    func opens() {
        var rate = DrivenRate()
        rate.answered(RateAdvice(pause: .milliseconds(300)), at: Self.at(0))
        let decisions = (0..<3).map { _ in Self.text(rate.take(at: Self.at(300), Self.rule), at: 300) }
        #expect(decisions == ["go", "wait 100", "wait 200"])
        rate.reset(at: Self.at(300))
        rate.answered(RateAdvice(pause: .milliseconds(300)), at: Self.at(300))
        // One interval after the opening there are two.
        let later = (0..<3).map { _ in Self.text(rate.take(at: Self.at(700), Self.rule), at: 700) }
        #expect(later == ["go", "go", "wait 100"])
    }

    @Test("An attempt that waited finds the gate closed, and waits again or is refused by its own limit", .tags(.RA2))
    func closedMeanwhile() throws {
        var rate = DrivenRate()
        for _ in 0..<2 { _ = rate.take(at: Self.at(0), Self.rule) }
        let first = try #require(Self.reservation(rate.take(at: Self.at(0), Self.rule)))
        let second = try #require(Self.reservation(rate.take(at: Self.at(0), Self.rule)))
        rate.answered(RateAdvice(pause: .milliseconds(350)), at: Self.at(50))
        #expect(Self.text(rate.woke(first, at: Self.at(100), Self.rule), at: 100) == "wait 300")
        #expect(Self.text(rate.woke(second, at: Self.at(200), Self.rule), at: 200) == "wait 300")
        // A third one would wait beyond half a second after it came.
        let late = rate.take(at: Self.at(200), waitEnds: Self.at(500), Self.rule)
        #expect(Self.text(late, at: 200) == "closedByService 400")
    }

    @Test(
        "Without a rate, attempts go at once, and those that come at once in a pause are spread over a quarter of it",
        .tags(.RA3))
    func spread() {
        var rate = DrivenRate()
        for _ in 0..<100 { #expect(Self.text(rate.take(at: Self.at(0), Self.sharing), at: 0) == "go") }
        rate.answered(RateAdvice(pause: .milliseconds(800)), at: Self.at(0), random: 0.3)
        var dues: [Int64] = []
        for _ in 0..<80 {
            guard case .wait(let due, _) = rate.take(at: Self.at(0), Self.sharing) else { continue }
            dues.append(due.nanoseconds / 1_000_000)
        }
        #expect(dues.count == 80)
        #expect(dues.allSatisfy { (800..<1000).contains($0) })
        // Evenly: each eighth of the time gets its share, about ten.
        let eighths = Dictionary(grouping: dues) { ($0 - 800) / 25 }.mapValues(\.count)
        #expect(eighths.count == 8)
        #expect(eighths.values.allSatisfy { (8...12).contains($0) })
        #expect(Self.text(rate.take(at: Self.at(801), Self.sharing), at: 801) == "go")
    }

    @Test("Without a rate, attempts that come one after another in a pause go about as slowly after it")
    func pace() {
        var rate = DrivenRate()
        rate.answered(RateAdvice(pause: .milliseconds(800)), at: Self.at(0), random: 0.3)
        var dues: [Int64] = []
        for moment in stride(from: Int64(0), to: 800, by: 8) {
            guard case .wait(let due, _) = rate.take(at: Self.at(moment), Self.sharing) else { continue }
            // A pause after it came, and at most a quarter of the pause later.
            #expect((moment + 800..<moment + 1000).contains(due.nanoseconds / 1_000_000))
            dues.append(due.nanoseconds / 1_000_000)
        }
        #expect(dues.count == 100)
        // 12 or 13 came in each tenth of a second, and not many more go in one.
        let tenths = Dictionary(grouping: dues) { $0 / 100 }.mapValues(\.count)
        #expect(tenths.values.allSatisfy { $0 <= 20 })
    }

    @Test("A wait for the end of a pause leaves half of the time until the deadline")
    func pauseAndDeadline() {
        var rate = DrivenRate()
        rate.answered(RateAdvice(pause: .milliseconds(800)), at: Self.at(0), random: 0.3)
        for _ in 0..<50 {
            guard case .wait(let due, _) = rate.take(at: Self.at(700), deadline: Self.at(900), Self.sharing) else {
                Issue.record("the attempt does not wait")
                continue
            }
            #expect((800..<850).contains(due.nanoseconds / 1_000_000))
        }
    }

    @Test("A pause that is longer than attempts wait refuses them, with the time until it ends", .tags(.RA2))
    func longPause() {
        var rate = DrivenRate()
        rate.answered(RateAdvice(pause: .seconds(30)), at: Self.at(0))
        // A shorter one changes nothing.
        rate.answered(RateAdvice(pause: .seconds(2)), at: Self.at(0))
        #expect(Self.text(rate.take(at: Self.at(0), Self.sharing), at: 0) == "closedByService 30000")
        #expect(Self.text(rate.take(at: Self.at(0), deadline: Self.at(9000), Self.sharing), at: 0) == "deadline 30000")
        rate.reset(at: Self.at(0))
        #expect(Self.text(rate.take(at: Self.at(0), Self.sharing), at: 0) == "go")
    }

    @Test("After a reset an attempt that waits gets a new turn, and its old one does not come back", .tags(.BR6))
    func turnsBeforeReset() throws {
        var rate = DrivenRate()
        let old = (0..<4).map { _ in rate.take(at: Self.at(0), Self.rule) }
        let (third, fourth) = (try #require(Self.reservation(old[2])), try #require(Self.reservation(old[3])))
        rate.reset(at: Self.at(0))
        #expect(Self.text(rate.woke(third, at: Self.at(0), Self.rule), at: 0) == "go")
        rate.withdrawn(fourth, at: Self.at(0))
        let decisions = (0..<2).map { _ in Self.text(rate.take(at: Self.at(0), Self.rule), at: 0) }
        #expect(decisions == ["go", "wait 100"])
    }

    // MARK: Quotas

    @Test(
        "A quota that runs low slows the gate until its window ends, and never by more than attempts wait", .tags(.RA4))
    func quota() {
        var rate = DrivenRate()
        // 4 requests for 0.8 s: one each 200 ms, and two of them at once.
        rate.answered(RateAdvice(quota: .low(remaining: 4, window: .milliseconds(800))), at: Self.at(0))
        #expect(rate.machine.quotaRate(at: Self.at(0)) == 5)
        let decisions = (0..<5).map { _ in Self.text(rate.take(at: Self.at(0), Self.rule), at: 0) }
        #expect(decisions == ["go", "go", "wait 200", "wait 400", "waitTooLong 600"])
        // The window has ended: the two tokens that are missing come at the usual rate.
        #expect(rate.machine.quotaRate(at: Self.at(800)) == nil)
        #expect(Self.text(rate.take(at: Self.at(800), Self.rule), at: 800) == "go")

        rate.reset(at: Self.at(1000))
        // One request for 100 s: attempts wait half a second each, as long as they may, and are not refused.
        rate.answered(RateAdvice(quota: .low(remaining: 1, window: .seconds(100))), at: Self.at(1000))
        #expect(Self.text(rate.take(at: Self.at(1000), Self.rule), at: 1000) == "go")
        #expect(Self.text(rate.take(at: Self.at(1000), Self.rule), at: 1000) == "wait 500")
        rate.answered(RateAdvice(quota: .ample), at: Self.at(2000))
        #expect(rate.machine.state(at: Self.at(2000)) == .open)
    }

    @Test("When a quota allows a higher rate again, no attempt gets a turn between those that wait already")
    func looserQuota() {
        var rate = DrivenRate()
        let patient = RateRule(pace: Self.rule.pace, burst: 2, maximumWait: .seconds(10))
        rate.answered(RateAdvice(quota: .low(remaining: 2, window: .seconds(6))), at: Self.at(0))
        let slow = (0..<3).map { _ in Self.text(rate.take(at: Self.at(0), patient), at: 0) }
        #expect(slow == ["go", "wait 3000", "wait 6000"])
        rate.answered(RateAdvice(quota: .low(remaining: 4, window: .seconds(8))), at: Self.at(0))
        let faster = (0..<2).map { _ in Self.text(rate.take(at: Self.at(0), patient), at: 0) }
        #expect(faster == ["wait 8000", "wait 10000"])
    }

    @Test("A quota that allows more than the own rate changes nothing", .tags(.RA4))
    func ampleQuota() {
        var rate = DrivenRate()
        rate.answered(RateAdvice(quota: .low(remaining: 1000, window: .seconds(1))), at: Self.at(0))
        let decisions = (0..<3).map { _ in Self.text(rate.take(at: Self.at(0), Self.rule), at: 0) }
        #expect(decisions == ["go", "go", "wait 100"])
    }

    // MARK: Walks and extremes

    @Test("The table in the machine's documentation has exactly the transitions that random walks make")
    func table() throws {
        var random = SeededRandom.fromEnvironment()
        var made: Set<DocumentedTransition> = []
        for _ in 0..<2000 {
            var walk = RateWalk(seed: random.next())
            walk.run(steps: 100)
            made.formUnion(walk.rate.transitions)
        }
        let documented = try DocumentedTransition.expandedRows(of: "RateStateMachine.swift")
        #expect(made.subtracting(documented) == [])
        #expect(documented.subtracting(made) == [])
    }

    @Test(
        "Random walks of 100,000 steps: never more than the rate and the burst, never while closed, never too late",
        .tags(.RA1))
    func walk() {
        var random = SeededRandom.fromEnvironment()
        let walks = RandomWalks.usually(200, steps: 500)
        for _ in 0..<walks.count {
            let seed = random.next()
            var walk = RateWalk(seed: seed)
            walk.run(steps: walks.steps)
            #expect(walk.violations == [], "seed \(seed)")
            if !walk.violations.isEmpty { return }
        }
    }

    @Test("Extreme knobs, times and advice do not trap", .tags(.BI4))
    func extremes() {
        let longest = Duration.seconds(Int64.max)
        let instants = [Int64.min, -1, 0, 1, Int64.max - 1, Int64.max].map(MonotonicInstant.init(nanoseconds:))
        let paces: [TokenSchedule.Pace?] = [
            nil, .init(interval: 1, burst: 1), .init(interval: .max, burst: .max),
            .init(perSecond: 0.001, burst: 1_000_000),
            .init(perSecond: 0, burst: 0), .init(perSecond: .nan, burst: -1), .init(perSecond: -.infinity, burst: 1),
            .init(perSecond: -1, burst: 3), .init(perSecond: .infinity, burst: 1),
        ]
        let advices = [
            RateAdvice(pause: longest), RateAdvice(pause: .zero - longest),
            RateAdvice(quota: .low(remaining: .max, window: longest)),
            RateAdvice(quota: .low(remaining: 0, window: .zero - longest)),
            RateAdvice(quota: .low(remaining: .min, window: .zero)),
        ]
        var decisions = 0
        for pace in paces {
            for wait in [Duration.zero, .nanoseconds(1), longest] {
                for advice in advices {
                    let rule = RateRule(pace: pace, burst: .max, maximumWait: wait)
                    var machine = RateStateMachine()
                    for now in instants {
                        for _ in 0..<3 {
                            let decision = machine.take(
                                at: now, waitEnds: now.advanced(by: wait), deadline: .distantFuture, rule)
                            decisions += 1
                            guard let reservation = Self.reservation(decision) else { continue }
                            _ = machine.woke(reservation, at: now, deadline: nil, rule)
                            machine.withdrawn(reservation, at: now)
                        }
                        machine.answered(advice, at: now, random: .nan)
                        _ = machine.quotaRate(at: now)
                        _ = machine.closedFor(at: now)
                    }
                }
            }
        }
        #expect(decisions == paces.count * 3 * advices.count * instants.count * 3)
    }

    @Test(
        "With a clock that stands still, the burst goes and the rest is refused, however often it is tried", .tags(.BI2)
    )
    func standingClock() {
        var machine = RateStateMachine()
        let rule = RateRule(pace: .init(perSecond: 1_000_000, burst: 1000), burst: 1000, maximumWait: .zero)
        var gone = 0
        for _ in 0..<1_000_000 {
            if case .go = machine.take(at: Self.at(0), waitEnds: Self.at(0), deadline: nil, rule) { gone += 1 }
        }
        #expect(gone == 1000)
    }

    @Test("A bucket from which a billion tokens are missing has them back at the rate, to the nanosecond", .tags(.BI3))
    func billion() {
        let pace = TokenSchedule.Pace(interval: 1000, burst: 1_000_000_000)
        var schedule = TokenSchedule(tokens: 0, at: Self.at(0), pace)
        #expect(schedule.next(at: Self.at(0), opening: nil, pace) == MonotonicInstant(nanoseconds: 1000))
        #expect(!schedule.isFull(at: MonotonicInstant(nanoseconds: 999_999_999_999)))
        #expect(schedule.isFull(at: MonotonicInstant(nanoseconds: 1_000_000_000_000)))
        // The missing tokens come ten times more slowly: at one token in ten microseconds, a billion take 10,000 s.
        let slower = TokenSchedule.Pace(interval: 10_000, burst: 1_000_000_000)
        let token = schedule.take(at: Self.at(0), opening: nil, slower)
        #expect(token.slot == MonotonicInstant(nanoseconds: 10_000))
        #expect(!schedule.isFull(at: Self.at(10_000_000)))
        #expect(schedule.isFull(at: MonotonicInstant(nanoseconds: 10_000_000_010_000)))
    }
}
