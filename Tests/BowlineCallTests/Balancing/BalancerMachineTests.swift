import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Balancer machine")
struct BalancerMachineTests {
    @Test(
        "Calls that the program cancels together leave each healthy endpoint its share", .tags(.BA1),
        arguments: [4, 20])
    func cancelledTogether(after milliseconds: Int) throws {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        for _ in 0..<200 {
            let attempt = try #require(balancer.choose())
            balancer.pass(.milliseconds(5))
            balancer.end(attempt, .success(after: .milliseconds(5)))
        }
        let cancelled = (0..<20).compactMap { _ in balancer.choose() }
        let elapsed = Duration.milliseconds(milliseconds)
        balancer.pass(elapsed)
        for attempt in cancelled { balancer.end(attempt, .unfinished(after: elapsed)) }
        var attempts: [String: Int] = [:]
        for _ in 0..<1000 {
            let attempt = try #require(balancer.choose())
            attempts[balancer.name(of: attempt.number), default: 0] += 1
            balancer.pass(.milliseconds(5))
            balancer.end(attempt, .success(after: .milliseconds(5)))
            balancer.pass(.milliseconds(5))
        }
        #expect(attempts["a", default: 0] > 200 && attempts["b", default: 0] > 200, "\(attempts)")
    }

    // MARK: Ejection

    @Test(
        "An endpoint is ejected after five failures in a row, and not after four; a success begins the row anew",
        .tags(.BA3))
    func failuresInRow() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 4)
        #expect(balancer.state("a") == .healthy)
        balancer.succeed("a")
        balancer.fail("a", times: 4)
        #expect(balancer.changes == [])
        balancer.fail("a")
        #expect(balancer.state("a") == .ejected)
        #expect(balancer.changes == ["ejected a 5.0 s"])
        #expect(!balancer.attempt("a", .ignored))
    }

    @Test("An ejected endpoint gets no attempts until its time has passed", .tags(.BA3))
    func ejectedGetsNothing() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        for _ in 0..<200 {
            let name = balancer.chooseName()
            #expect(name == "b")
        }
        balancer.pass(.milliseconds(4999))
        balancer.settle()
        #expect(balancer.state("a") == .ejected)
        balancer.pass(.milliseconds(1))
        balancer.settle()
        #expect(balancer.state("a") == .onTrial)
        #expect(balancer.changes == ["ejected a 5.0 s", "restored a"])
    }

    @Test("After an ejection the first failure ejects again, for twice as long, up to the maximum", .tags(.BA3))
    func doubling() {
        let balancer = DrivenBalancer { $0.maximumEjection = .seconds(30) }
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        for seconds in [5, 10, 20, 30, 30] {
            #expect(balancer.changes.last == "ejected a \(DrivenBalancer.text(seconds: seconds))")
            balancer.pass(.seconds(seconds))
            balancer.settle()
            #expect(balancer.state("a") == .onTrial)
            balancer.fail("a")
            #expect(balancer.state("a") == .ejected)
        }
    }

    @Test(
        "The length of the next ejection is halved each time that the endpoint has been usable as long as it was ejected",
        .tags(.BA3),
        arguments: [(0, 20), (9, 20), (10, 10), (19, 10), (20, 5), (1000, 5)])
    func decay(healthy: Int, next: Int) {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.pass(.seconds(5))
        balancer.settle()
        balancer.fail("a")
        balancer.pass(.seconds(10))
        balancer.settle()
        balancer.succeed("a")
        balancer.pass(.seconds(healthy))
        balancer.fail("a", times: 5)
        #expect(balancer.changes.last == "ejected a \(DrivenBalancer.text(seconds: next))")
    }

    @Test("A success after an ejection makes the endpoint healthy: five more failures eject it", .tags(.BA3))
    func trialPassed() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.pass(.seconds(5))
        balancer.settle()
        balancer.succeed("a")
        #expect(balancer.state("a") == .healthy)
        balancer.fail("a", times: 4)
        #expect(balancer.state("a") == .healthy)
        balancer.fail("a")
        #expect(balancer.state("a") == .ejected)
    }

    @Test("Results of attempts that began before an ejection do not count after it", .tags(.BA3))
    func lateResults() throws {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        let failure = try #require(balancer.choose("a"))
        let success = try #require(balancer.choose("a"))
        balancer.fail("a", times: 5)
        balancer.end(success, .success(after: .milliseconds(1)))
        #expect(balancer.state("a") == .ejected)
        balancer.pass(.seconds(5))
        balancer.settle()
        balancer.end(failure, .failure(after: .seconds(5)))
        #expect(balancer.state("a") == .onTrial)
        #expect(balancer.record(of: "a")?.pending == 0)
    }

    @Test(
        "An endpoint that fails far more often than the others is ejected, although never five times in a row",
        .tags(.BA3))
    func successRate() {
        let balancer = DrivenBalancer { $0.consecutiveFailures = 1000 }
        balancer.replace("a", "b", "c")
        for _ in 0..<10 {
            balancer.succeed("b", times: 3)
            balancer.succeed("c", times: 3)
            balancer.succeed("a", times: 2)
            balancer.fail("a")
            #expect(balancer.machine.endpoints.count { $0.state == .ejected } <= 1)
        }
        #expect(balancer.changes == ["ejected a 5.0 s"])
    }

    @Test("If all endpoints fail equally often, none is ejected for its rate", .tags(.BA3))
    func equalRates() {
        let balancer = DrivenBalancer { $0.consecutiveFailures = 1000 }
        balancer.replace("a", "b", "c")
        for _ in 0..<200 {
            for name in ["a", "b", "c"] {
                balancer.succeed(name)
                balancer.fail(name)
            }
        }
        #expect(balancer.changes == [])
    }

    @Test("Fewer than 20 attempts say nothing about a rate", .tags(.BA3))
    func fewAttempts() {
        let balancer = DrivenBalancer { $0.consecutiveFailures = 1000 }
        balancer.replace("a", "b")
        balancer.succeed("b", times: 100)
        balancer.fail("a", times: 19)
        #expect(balancer.state("a") == .healthy)
        balancer.fail("a")
        #expect(balancer.state("a") == .ejected)
    }

    @Test("Attempts of more than 20 s ago say nothing about a rate", .tags(.BA3))
    func oldAttempts() {
        let balancer = DrivenBalancer { $0.consecutiveFailures = 1000 }
        balancer.replace("a", "b")
        balancer.succeed("b", times: 100)
        balancer.fail("a", times: 19)
        balancer.pass(.seconds(20))
        balancer.succeed("b", times: 100)
        balancer.fail("a", times: 19)
        #expect(balancer.state("a") == .healthy)
    }

    // MARK: Panic

    @Test("At most half of the endpoints are ejected; if more would be, all are used", .tags(.BA5))
    func panic() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b", "c", "d")
        balancer.fail("a", times: 5)
        balancer.fail("b", times: 5)
        #expect(!balancer.machine.isPanicking)
        balancer.fail("c", times: 5)
        #expect(balancer.state("c") == .failing)
        #expect(balancer.machine.isPanicking)
        #expect(balancer.changes == ["ejected a 5.0 s", "ejected b 5.0 s", "panic true"])
        var chosen: Set<String> = []
        for _ in 0..<2000 {
            if let name = balancer.chooseName() { chosen.insert(name) }
        }
        #expect(chosen == ["a", "b", "c", "d"])
    }

    @Test("Panic ends when the failing endpoint succeeds", .tags(.BA5))
    func panicEnds() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.fail("b", times: 5)
        #expect(balancer.machine.isPanicking)
        balancer.succeed("b")
        #expect(!balancer.machine.isPanicking)
        #expect(balancer.state("a") == .ejected)
        #expect(balancer.changes == ["ejected a 5.0 s", "panic true", "panic false"])
    }

    @Test("In panic, a success ends the ejection of an ejected endpoint", .tags(.BA5))
    func restoredInPanic() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.fail("b", times: 5)
        balancer.succeed("a")
        #expect(balancer.state("a") == .healthy)
        #expect(balancer.changes == ["ejected a 5.0 s", "panic true", "restored a", "panic false"])
    }

    @Test("A failing endpoint is ejected as soon as there is room for it and it fails again", .tags(.BA5))
    func failingIsEjected() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.fail("b", times: 5)
        balancer.succeed("a")
        balancer.fail("b")
        #expect(balancer.state("b") == .ejected)
    }

    @Test("The only endpoint is never ejected", .tags(.BA5))
    func single() {
        let balancer = DrivenBalancer()
        balancer.replace("a")
        balancer.fail("a", times: 100)
        #expect(balancer.changes == [])
        let name = balancer.chooseName()
        #expect(name == "a")
    }

    @Test("With maximumEjected 1, all endpoints may be ejected, and all are used then", .tags(.BA5))
    func allEjected() {
        let balancer = DrivenBalancer { $0.maximumEjected = 1 }
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.fail("b", times: 5)
        #expect(balancer.changes == ["ejected a 5.0 s", "ejected b 5.0 s", "panic true"])
        let name = balancer.chooseName()
        #expect(name != nil)
    }

    @Test("With maximumEjected 0, no endpoint is ejected and there is no panic", .tags(.BA5))
    func noEjections() {
        let balancer = DrivenBalancer { $0.maximumEjected = 0 }
        balancer.replace("a", "b")
        balancer.fail("a", times: 50)
        balancer.fail("b", times: 50)
        #expect(balancer.changes == [])
    }

    @Test("Three of ten may be ejected at a share of 0.3", .tags(.BA5))
    func roundedShare() {
        let balancer = DrivenBalancer { $0.maximumEjected = 0.3 }
        let names = (0..<10).map { "e\($0)" }
        balancer.replace(names.map { listing($0) })
        for name in names.prefix(4) { balancer.fail(name, times: 5) }
        #expect(balancer.machine.endpoints.count { $0.state == .ejected } == 3)
        #expect(balancer.state("e3") == .failing)
    }

    // MARK: Lists

    @Test("A new list keeps the state of the endpoints that stay", .tags(.BA8))
    func listReplaced() throws {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b", "c", "d")
        let pass = try #require(balancer.choose("b"))
        balancer.fail("a", times: 5)
        let number = balancer.number(of: "a")
        balancer.replace([listing("e"), listing("b", weight: 7, zone: "z"), listing("a"), listing("f")])
        #expect(balancer.state("a") == .ejected)
        #expect(balancer.number(of: "a") == number)
        #expect(balancer.record(of: "b")?.pending == 1)
        #expect(balancer.record(of: "b")?.weight == 7)
        #expect(balancer.record(of: "b")?.zone == "z")
        balancer.end(pass, .success(after: .milliseconds(5)))
        #expect(balancer.record(of: "b")?.pending == 0)
    }

    @Test(
        "An endpoint that leaves and comes back begins anew, and results of its earlier attempts do not count",
        .tags(.BA8))
    func leftAndBack() throws {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        let pass = try #require(balancer.choose("a"))
        balancer.fail("a", times: 5)
        balancer.replace("b")
        balancer.replace("a", "b")
        #expect(balancer.state("a") == .healthy)
        balancer.end(pass, .failure(after: .seconds(1)))
        #expect(balancer.record(of: "a")?.pending == 0)
        #expect(balancer.record(of: "a")?.failuresInRow == 0)
    }

    @Test(
        "If a shorter list leaves too many endpoints ejected, the ejections that would end first end at once",
        .tags(.BA8))
    func shorterList() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b", "c", "d")
        balancer.fail("a", times: 5)
        balancer.pass(.seconds(1))
        balancer.fail("b", times: 5)
        balancer.replace("a", "b")
        #expect(balancer.state("a") == .onTrial)
        #expect(balancer.state("b") == .ejected)
        #expect(!balancer.machine.isPanicking)
    }

    @Test("Nothing is chosen from an empty list, or from one in which all weights are 0", .tags(.BA9))
    func nothingToChoose() {
        let balancer = DrivenBalancer()
        #expect(balancer.choose() == nil)
        balancer.replace([listing("a", weight: 0)])
        #expect(balancer.choose() == nil)
        #expect(balancer.choose("a") == nil)
        balancer.replace([])
        #expect(balancer.choose() == nil)
    }

    // MARK: Avoiding, zones

    @Test("Endpoints that the call has used are avoided while there is another; then all are used", .tags(.BA7))
    func avoided() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b", "c")
        let (a, b, c) = (balancer.number(of: "a"), balancer.number(of: "b"), balancer.number(of: "c"))
        for _ in 0..<100 {
            let only = balancer.chooseName(avoiding: [a, b])
            #expect(only == "c")
            let any = balancer.chooseName(avoiding: [a, b, c])
            #expect(any != nil)
        }
    }

    @Test("A call that has used all usable endpoints does not get an ejected one", .tags(.BA7))
    func avoidedAndEjected() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        for _ in 0..<100 {
            let name = balancer.chooseName(avoiding: [balancer.number(of: "b")])
            #expect(name == "b")
        }
    }

    @Test(
        "The zone of the program is preferred while at least half of its endpoints are usable", .tags(.BA2),
        arguments: [(0, true), (1, true), (2, true), (3, false)])
    func zones(ejected: Int, isPreferred: Bool) {
        let balancer = DrivenBalancer { $0.zone = "near" }
        let near = (0..<4).map { "n\($0)" }
        balancer.replace(near.map { listing($0, zone: "near") } + (0..<4).map { listing("f\($0)", zone: "far") })
        for name in near.prefix(ejected) { balancer.fail(name, times: 5) }
        var zones: Set<String> = []
        for _ in 0..<500 {
            if let name = balancer.chooseName() { zones.insert(String(name.prefix(1))) }
        }
        #expect(zones == (isPreferred ? ["n"] : ["n", "f"]))
    }

    @Test("If no endpoint has the program's zone, all endpoints are used", .tags(.BA2))
    func unknownZone() {
        let balancer = DrivenBalancer { $0.zone = "elsewhere" }
        balancer.replace([listing("a", zone: "x"), listing("b")])
        var chosen: Set<String> = []
        for _ in 0..<200 {
            if let name = balancer.chooseName() { chosen.insert(name) }
        }
        #expect(chosen == ["a", "b"])
    }

    @Test("A call that has used all endpoints of its zone goes to another zone", .tags(.BA2, .BA7))
    func avoidedZone() {
        let balancer = DrivenBalancer { $0.zone = "near" }
        balancer.replace([listing("a", zone: "near"), listing("b", zone: "far")])
        let name = balancer.chooseName(avoiding: [balancer.number(of: "a")])
        #expect(name == "b")
    }

    // MARK: The table

    @Test("The table in the documentation lists the transitions of the machine")
    func table() throws {
        var found: Set<DrivenBalancer.Transition> = []
        for seed in 0..<40 {
            var random = SeededRandom(seed: UInt64(seed))
            let balancer = DrivenBalancer(seed: UInt64(seed)) { $0.consecutiveFailures = 2 }
            let names = ["a", "b", "c", "d"]
            balancer.replace(names.map { listing($0) })
            for _ in 0..<400 {
                let name = names[random.next(in: 0..<4)]
                switch random.next(in: 0..<20) {
                case 0..<9: balancer.fail(name)
                case 9..<13: balancer.succeed(name)
                case 13..<17:
                    balancer.pass(.seconds(random.next(in: 0..<4)))
                    balancer.settle()
                case 17..<19: balancer.settle()
                default: balancer.replace(names.filter { _ in random.nextBool(probability: 0.7) }.map { listing($0) })
                }
            }
            found.formUnion(balancer.transitions)
        }
        let documented = try DrivenBalancer.Transition.documented()
        #expect(found.subtracting(documented) == [])
        #expect(documented.subtracting(found) == [])
    }

    @Test("A random walk of 100,000 steps follows the model, and leaves no attempt in flight")
    func walk() throws {
        var seen: [String: Int] = [:]
        let walks = RandomWalks.usually(100, steps: 1000)
        for seed in 0..<walks.count {
            var walk = BalancerWalk(seed: UInt64(seed))
            walk.run(steps: walks.steps)
            try #require(walk.violation == nil, "seed \(seed)")
            seen.merge(walk.seen, uniquingKeysWith: +)
        }
        // The walk has been everywhere. Short walks have too few outcomes for an ejection by rate.
        guard walks.steps >= 1000 else { return }
        for kind in [
            "replaced", "chosen", "ejected", "ejected by rate", "ejected in panic", "other zone", "avoided in vain",
            "late result",
        ] {
            #expect(seen[kind, default: 0] > 0, "\(kind)")
        }
    }

    // MARK: Extremes

    @Test("Instants and durations at the ends of their ranges do not trap", .tags(.BI4))
    func extremes() {
        let ends = [MonotonicInstant(nanoseconds: .min), MonotonicInstant(nanoseconds: 0), .distantFuture]
        let durations: [Duration] = [
            .zero, .nanoseconds(1), .seconds(Int64.max), .seconds(Int64.min), .nanoseconds(Int64.max),
        ]
        for start in ends {
            for end in ends {
                for duration in durations {
                    var options = BalancingOptions()
                    options.consecutiveFailures = 1
                    options.ejection = duration
                    options.maximumEjection = duration
                    options.slowStart = duration
                    options.maximumEjected = duration == .zero ? .nan : 1
                    var machine = BalancerStateMachine(firstNumber: .max)
                    _ = machine.endpointsReplaced(
                        by: [listing("a", weight: 1_000_000), listing("b")], at: start, options)
                    for random in [0, 0.5, 1, -1, .nan, .infinity] {
                        let choice = machine.choose(at: end, random: random, options)
                        guard let pass = choice.pass else { continue }
                        _ = machine.attemptEnded(pass, .failure(after: duration), at: start, options)
                        _ = machine.endpointsReplaced(by: [listing("b"), listing("c")], at: end, options)
                        let other = machine.choose(at: start, random: random, options)
                        if let pass = other.pass {
                            _ = machine.attemptEnded(pass, .success(after: duration), at: end, options)
                            _ = machine.attemptEnded(pass, .unfinished(after: duration), at: end, options)
                        }
                        _ = machine.snapshot(at: end, options)
                    }
                    #expect(machine.endpoints.count == 2)
                    #expect(machine.endpoints.allSatisfy { $0.pending >= 0 })
                }
            }
        }
    }

    @Test("With a clock that stands still, endpoints are chosen and ejected, and no ejection ends", .tags(.BI2))
    func clockStandsStill() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b", "c", "d")
        balancer.fail("a", times: 5)
        var chosen: [String: Int] = [:]
        for _ in 0..<3000 {
            guard let pass = balancer.choose() else { continue }
            chosen[balancer.name(of: pass.number), default: 0] += 1
            balancer.end(pass, .success(after: .zero))
        }
        #expect(chosen["a"] == nil)
        #expect((chosen["b"] ?? 0) > 600)
        #expect((chosen["c"] ?? 0) > 600)
        #expect((chosen["d"] ?? 0) > 600)
    }

    @Test("A time earlier than one before counts as that time")
    func clockGoesBack() {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.pass(.seconds(5))
        balancer.settle()
        balancer.pass(.seconds(-60))
        balancer.settle()
        #expect(balancer.state("a") == .onTrial)
        balancer.fail("a")
        #expect(balancer.state("a") == .ejected)
    }

    @Test("With a billion attempts, the success rates are still compared exactly", .tags(.BI3))
    func billion() {
        let others = OutcomeCounts.Counts(successes: 999_000_000, failures: 1_000_000)
        for (failures, isFarBelow) in [(200_000_000, false), (202_000_000, true), (1_000_000_000, true)] {
            let own = OutcomeCounts.Counts(successes: 1_000_000_000 - failures, failures: failures)
            #expect(OutcomeCounts.isFarBelow(own, others) == isFarBelow)
        }
    }
}
