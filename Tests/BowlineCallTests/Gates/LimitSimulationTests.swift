import BowlineTesting
import Foundation
import Testing

@testable import BowlineCall

/// The adaptive limit in front of a simulated service. Each claim holds for each of several seeds.
@Suite("The adaptive limit in a simulation")
struct LimitSimulationTests {
    typealias Service = LimitSimulation.Service
    typealias Load = LimitSimulation.Load

    private static let seeds: [UInt64] = [1, 2]

    /// The distributions of the time that a worker needs; the average is 100 ms.
    enum Work: CaseIterable {
        case constant, exponential, lognormal

        func seconds(_ random: inout SeededRandom) -> Double {
            switch self {
            case .constant: return 0.1
            case .exponential: return -0.1 * log(1 - random.nextDouble())
            case .lognormal:
                // The standard deviation of the logarithm is 1, so that the slowest percent takes 10 × the median.
                let normal = (-2 * log(1 - random.nextDouble())).squareRoot() * cos(2 * .pi * random.nextDouble())
                return 0.1 * exp(normal - 0.5)
            }
        }
    }

    private static func service(_ workers: Int, _ work: Work = .constant) -> Service {
        var service = Service()
        service.workers = { _ in workers }
        service.serviceTime = { _, random in work.seconds(&random) }
        return service
    }

    private static func run(_ service: Service, _ load: Load, seed: UInt64, until end: Double) -> LimitSimulation {
        let simulation = LimitSimulation(service, load, seed: seed)
        simulation.run(until: end)
        return simulation
    }

    @Test(
        "At twice the capacity the limit comes near the number of workers, and goodput is at least 95 % of capacity",
        .tags(.CO6),
        arguments: [5, 20, 60])
    func converges(workers: Int) {
        let capacity = Double(workers) / 0.1
        for seed in Self.seeds {
            let run = Self.run(Self.service(workers), Load(perSecond: 2 * capacity), seed: seed, until: 40)
            #expect(run.goodput(1...10) >= 0.95 * capacity, "seed \(seed)")
            #expect(run.goodput(20...40) >= 0.95 * capacity, "seed \(seed)")
            #expect(run.limit(20...40) >= Double(workers), "seed \(seed)")
            #expect(run.limit(20...40) <= 2 * Double(workers) + 10, "seed \(seed)")
        }
    }

    @Test(
        "The same with a time of service that varies", .tags(.CO6), arguments: [Work.exponential, .lognormal], [20, 60])
    func convergesWithNoise(work: Work, workers: Int) {
        let capacity = Double(workers) / 0.1
        for seed in Self.seeds {
            let run = Self.run(Self.service(workers, work), Load(perSecond: 2 * capacity), seed: seed, until: 40)
            #expect(run.goodput(10...40) >= 0.8 * capacity, "seed \(seed)")
            #expect(run.limit(10...40) <= 3 * Double(workers) + 10, "seed \(seed)")
        }
    }

    @Test(
        "Latency that varies by chance does not lower the limit below what is needed", .tags(.CO6),
        arguments: [10.0, 100])
    func noise(inFlight: Double) {
        for seed in Self.seeds {
            let run = Self.run(
                Self.service(.max, .lognormal), Load(perSecond: inFlight / 0.1), seed: seed, until: 40)
            #expect(run.goodput(5...40) >= 0.94 * inFlight / 0.1, "seed \(seed)")
            #expect(Double(run.lowestLimit(5...40)) >= inFlight / 2, "seed \(seed)")
        }
    }

    @Test(
        "If latency rises by itself, the limit falls to a half and a quarter, and then to what is needed", .tags(.CO6))
    func latencyJump() {
        for seed in Self.seeds {
            var service = Self.service(.max)
            service.serviceTime = { time, _ in time < 20 ? 0.05 : 0.2 }
            // 20 in flight before, 80 after.
            let run = Self.run(service, Load(perSecond: 400), seed: seed, until: 60)
            #expect(run.goodput(10...20) >= 375, "seed \(seed)")
            #expect(run.goodput(30...60) >= 375, "seed \(seed)")
            #expect(run.limit(30...60) >= 80, "seed \(seed)")
        }
    }

    @Test("If the service loses workers, the limit falls, and rises again when they are back", .tags(.CO6))
    func capacityDrop() {
        for seed in Self.seeds {
            var service = Self.service(80)
            service.workers = { 20..<40 ~= $0 ? 20 : 80 }
            let run = Self.run(service, Load(perSecond: 640), seed: seed, until: 60)
            #expect(run.goodput(10...20) >= 620, "seed \(seed)")
            #expect(run.goodput(25...40) >= 180, "seed \(seed)")
            #expect(run.limit(30...40) <= 60, "seed \(seed)")
            #expect(run.goodput(45...60) >= 610, "seed \(seed)")
        }
    }

    @Test("After an outage of 5 s, goodput is back within a second", .tags(.CO4))
    func outage() {
        for seed in Self.seeds {
            var service = Self.service(40)
            service.refusedShare = { 10..<15 ~= $0 ? 1 : 0 }
            let run = Self.run(service, Load(perSecond: 320), seed: seed, until: 25)
            #expect(run.goodput(5...10) >= 300, "seed \(seed)")
            #expect(run.lowestLimit(10...15) == 1, "seed \(seed)")
            #expect(run.goodput(16...17) >= 300, "seed \(seed)")
            #expect(run.goodput(17...25) >= 300, "seed \(seed)")
        }
    }

    @Test(
        "A service that refuses what it has no worker for keeps most of its goodput", .tags(.CO4),
        arguments: [5, 20, 60])
    func refusing(workers: Int) {
        let capacity = Double(workers) / 0.1
        for seed in Self.seeds {
            var service = Self.service(workers)
            service.queue = 0
            let run = Self.run(service, Load(perSecond: 2 * capacity), seed: seed, until: 30)
            #expect(run.goodput(10...30) >= 0.85 * capacity, "seed \(seed)")
            #expect(run.limit(10...30) <= 1.2 * Double(workers) + 2, "seed \(seed)")
        }
    }

    @Test(
        "A share of refusals that does not depend on the limit does not lower it for good", .tags(.CO4),
        arguments: [0.01, 0.05, 0.5])
    func constantShare(share: Double) {
        for seed in Self.seeds {
            var service = Self.service(.max)
            service.refusedShare = { _ in share }
            let run = Self.run(service, Load(perSecond: 500), seed: seed, until: 40)
            #expect(run.goodput(10...40) >= 0.95 * 500 * (1 - share), "seed \(seed)")
        }
    }

    @Test(
        "With deadlines, twice the capacity does not end in timeouts: goodput is at least 80 % of capacity",
        .tags(.CO6),
        arguments: [0.3, 1, 3])
    func deadlines(deadline: Double) {
        for seed in Self.seeds {
            let run = Self.run(
                Self.service(20), Load(perSecond: 400, deadline: deadline), seed: seed, until: 30)
            #expect(run.goodput(10...30) >= 0.8 * 200, "seed \(seed)")
            #expect(run.rate(\.timedOut, 10...30) <= 0.15 * 200, "seed \(seed)")
        }
    }

    @Test("Several clients of one service find its capacity together", .tags(.CO6))
    func severalClients() {
        for seed in Self.seeds {
            let run = Self.run(Self.service(80), Load(clients: 4, perSecond: 1600), seed: seed, until: 60)
            #expect(run.goodput(20...60) >= 0.95 * 800, "seed \(seed)")
            #expect(run.limit(20...60) <= 2.5 * 80, "seed \(seed)")
        }
    }

    @Test("The same seed gives the same run")
    func deterministic() {
        func limits() -> [Int] {
            Self.run(Self.service(20, .lognormal), Load(perSecond: 400), seed: 7, until: 10).intervals.map(\.limit)
        }
        #expect(limits() == limits())
    }
}
