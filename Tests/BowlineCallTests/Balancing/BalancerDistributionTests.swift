import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

/// How attempts are distributed, over several seeds. Answers take random times.
@Suite("Balancer distribution")
struct BalancerDistributionTests {
    private typealias Replica = BalancerScenario.Replica

    /// Runs a fleet for 5 s, and then for 20 s that count.
    private func scenario(
        _ seed: Int, _ fleet: [Replica], rate: Double = 400, _ configure: (inout BalancingOptions) -> Void = { _ in }
    ) -> BalancerScenario {
        var scenario = BalancerScenario(seed: UInt64(seed), configure)
        scenario.use(fleet)
        scenario.run(rate: rate, seconds: 5)
        scenario.reset()
        scenario.run(rate: rate, seconds: 20)
        return scenario
    }

    private func fleet(_ count: Int, _ change: (inout Replica, Int) -> Void = { _, _ in }) -> [Replica] {
        (0..<count).map { index in
            var replica = Replica("e\(index)")
            change(&replica, index)
            return replica
        }
    }

    @Test("Equal endpoints get equal shares", .tags(.BA1), arguments: 1...3)
    func equal(seed: Int) {
        let scenario = scenario(seed, fleet(5))
        for index in 0..<5 {
            let share = scenario.share("e\(index)")
            #expect((0.17...0.23).contains(share), "e\(index): \(share)")
        }
    }

    @Test(
        "Endpoints get attempts by their weights, under low and high load", .tags(.BA2),
        arguments: [[1, 3], [1, 99], [1, 1, 2], [5, 1, 1, 1]], [20.0, 500.0])
    func weights(weights: [Int], rate: Double) {
        for seed in 1...2 {
            let scenario = scenario(seed, fleet(weights.count) { $0.listing.weight = weights[$1] }, rate: rate)
            for (index, weight) in weights.enumerated() {
                let nominal = Double(weight) / Double(weights.reduce(0, +))
                let share = scenario.share("e\(index)")
                // Within a third of the nominal share, and chance.
                let chance = 3 * (nominal / (20 * rate)).squareRoot()
                #expect(
                    abs(share - nominal) < nominal / 3 + chance, "seed \(seed), e\(index): \(share), not \(nominal)")
            }
        }
    }

    @Test("An endpoint with the weight 0 gets no attempts", .tags(.BA2))
    func weightZero() {
        let scenario = scenario(1, fleet(3) { $0.listing.weight = $1 })
        #expect(scenario.attempts["e0"] == nil)
        #expect((scenario.attempts["e1"] ?? 0) > 0)
    }

    @Test(
        "An endpoint that is ten times slower gets less than 1 % of the attempts, and the 99th percentile stays low",
        .tags(.BA1),
        arguments: 1...3)
    func slow(seed: Int) {
        let healthy = scenario(seed, fleet(5))
        let scenario = scenario(seed, fleet(5) { $0.mean = $1 == 0 ? 0.1 : 0.01 })
        let share = scenario.share("e0")
        #expect(share < 0.01, "\(share)")
        #expect(share > 0)
        #expect(scenario.percentile(0.99) < 1.3 * healthy.percentile(0.99))
    }

    @Test("An endpoint that fails at once gets few attempts, although it is fast", .tags(.BA1), arguments: 1...3)
    func fastFailures(seed: Int) {
        let scenario = scenario(
            seed,
            fleet(5) {
                if $1 == 0 { ($0.mean, $0.failing) = (0.0001, 1) }
            })
        #expect(scenario.share("e0") < 0.005)
    }

    @Test("An endpoint of which half of the answers are failures is ejected most of the time", arguments: 1...3)
    func halfFailures(seed: Int) {
        let scenario = scenario(
            seed,
            fleet(5) {
                if $1 == 0 { ($0.mean, $0.failing) = (0.0001, 0.5) }
            })
        #expect(scenario.share("e0") < 0.02)
    }

    @Test(
        "If three of five endpoints fail at once, which is panic, most attempts go to the other two", .tags(.BA5),
        arguments: 1...3)
    func mostFail(seed: Int) {
        let scenario = scenario(
            seed,
            fleet(5) {
                if $1 < 3 { ($0.mean, $0.failing) = (0.0001, 1) }
            })
        #expect(scenario.machine.isPanicking)
        #expect(scenario.share("e3") + scenario.share("e4") > 0.6)
    }

    @Test(
        "An endpoint that joins a list in use gets its share little by little, within the slow start", .tags(.BA6),
        arguments: 1...3)
    func slowStart(seed: Int) {
        var scenario = BalancerScenario(seed: UInt64(seed))
        scenario.use(fleet(4))
        scenario.run(rate: 1000, seconds: 5)
        scenario.use(fleet(5))
        var shares: [Double] = []
        for _ in 0..<15 {
            scenario.reset()
            scenario.run(rate: 1000, seconds: 1)
            shares.append(scenario.share("e4"))
        }
        #expect(shares[0] < 0.04, "\(shares)")
        let (early, middle, late) = (
            shares[0..<3].reduce(0, +) / 3, shares[3..<7].reduce(0, +) / 4, shares[10...].reduce(0, +) / 5
        )
        #expect(early < middle * 0.7, "\(shares)")
        #expect(middle < late * 0.9, "\(shares)")
        #expect((0.16...0.24).contains(late), "\(shares)")
    }

    @Test("All endpoints of the first list have their full share at once", .tags(.BA6))
    func firstList() {
        var scenario = BalancerScenario(seed: 1)
        scenario.use(fleet(4))
        scenario.run(rate: 1000, seconds: 1)
        for index in 0..<4 { #expect((0.2...0.3).contains(scenario.share("e\(index)"))) }
    }

    @Test("An endpoint gets its share little by little after an ejection", .tags(.BA6))
    func gentleReturn() throws {
        let balancer = DrivenBalancer()
        balancer.replace("a", "b")
        balancer.fail("a", times: 5)
        balancer.pass(.seconds(5))
        var attempts = 0
        for _ in 0..<500 {
            guard let pass = balancer.choose() else { continue }
            if balancer.name(of: pass.number) == "a" { attempts += 1 }
            balancer.end(pass, .success(after: .milliseconds(10)))
        }
        #expect(attempts < 25, "\(attempts)")
        balancer.pass(.seconds(10))
        attempts = 0
        for _ in 0..<500 {
            guard let pass = balancer.choose() else { continue }
            if balancer.name(of: pass.number) == "a" { attempts += 1 }
            balancer.end(pass, .success(after: .milliseconds(10)))
        }
        #expect((150...350).contains(attempts), "\(attempts)")
    }

    @Test("While the program's zone is usable, other zones get nothing; attempts in it are equal", .tags(.BA2))
    func zone() {
        let scenario = scenario(1, fleet(6) { $0.listing.zone = $1 < 3 ? "near" : "far" }) { $0.zone = "near" }
        for index in 0..<3 { #expect((0.28...0.39).contains(scenario.share("e\(index)"))) }
        for index in 3..<6 { #expect(scenario.attempts["e\(index)"] == nil) }
    }

    @Test("A source of random numbers that always returns the same number still reaches every endpoint")
    func constantRandom() {
        var machine = BalancerStateMachine()
        let (options, now) = (BalancingOptions(), MonotonicInstant(nanoseconds: 0))
        _ = machine.endpointsReplaced(by: (0..<5).map { listing("e\($0)") }, at: now, options)
        var attempts = [Int](repeating: 0, count: 5)
        for _ in 0..<5000 {
            guard let pass = machine.choose(at: now, random: 0.5, options).pass else { continue }
            attempts[pass.index] += 1
            _ = machine.attemptEnded(pass, .success(after: .milliseconds(1)), at: now, options)
        }
        #expect(attempts.allSatisfy { $0 > 700 }, "\(attempts)")
    }
}
