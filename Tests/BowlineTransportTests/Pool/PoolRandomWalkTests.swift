import Testing

@testable import BowlineTransport

/// Compares the machine with `ReferencePool` event by event, and checks its invariants after each.
@Suite struct PoolRandomWalkTests {
    /// SplitMix64.
    struct Seeded: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    @Test(
        "For 100,000 random events the pool does what the reference does", arguments: 1...20 as ClosedRange<UInt64>
    )
    func walk(seed: UInt64) throws {
        var random = Seeded(state: seed)
        for round in 0..<25 {
            let configuration = Self.configuration(&random)
            let pair = PoolComparison(configuration)
            for step in 0..<200 {
                let event = pair.event(&random, mayEnd: step > 150)
                let difference = pair.perform(event)
                try #require(
                    difference == nil, "seed \(seed), round \(round), step \(step), \(event): \(difference ?? "")")
            }
        }
    }

    @Test(
        "Random events with minimumIdle and prewarm keep the pool's invariants",
        arguments: 1...10 as ClosedRange<UInt64>)
    func refillWalk(seed: UInt64) throws {
        var random = Seeded(state: seed)
        for round in 0..<20 {
            var configuration = Self.configuration(&random)
            configuration.minimumIdle = Int.random(in: 1...3, using: &random)
            let pair = PoolComparison(configuration)
            for step in 0..<200 {
                let event = pair.event(&random, mayEnd: step > 150)
                pair.harness.random = Double.random(in: 0...1, using: &random)
                let broken = pair.performAlone(event, prewarming: Int.random(in: 0..<50, using: &random) == 0)
                try #require(broken == nil, "seed \(seed), round \(round), step \(step), \(event): \(broken ?? "")")
            }
        }
    }

    static func configuration(_ random: inout Seeded) -> PoolConfiguration {
        var configuration = PoolConfiguration()
        configuration.isEnabled = Int.random(in: 0..<8, using: &random) > 0
        configuration.idleTimeout = [nil, .zero, .seconds(2), .seconds(10)].randomElement(using: &random) ?? nil
        configuration.maximumIdle = Int.random(in: 0...4, using: &random)
        configuration.maximumConnections = [nil, 1, 2, 3, 5].randomElement(using: &random) ?? nil
        configuration.maximumWaiting = [nil, 0, 1, 3].randomElement(using: &random) ?? nil
        configuration.maximumLifetime = [nil, .seconds(15)].randomElement(using: &random) ?? nil
        configuration.lifetimeJitter = 0
        configuration.maximumUses = [nil, 1, 3].randomElement(using: &random) ?? nil
        return configuration
    }
}

extension PoolComparison {
    /// Any event that is possible now.
    func event(_ random: inout PoolRandomWalkTests.Seeded, mayEnd: Bool) -> Event {
        let affinity = [nil, 1, 2].randomElement(using: &random) ?? nil
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25:
            let wait: Duration? = [nil, .zero, .seconds(1), .seconds(5)].randomElement(using: &random) ?? nil
            let deadline: Duration? = [nil, nil, .seconds(2), .seconds(5)].randomElement(using: &random) ?? nil
            let fresh = Int.random(in: 0..<6, using: &random) == 0
            return .lease(affinity: affinity, fresh: fresh, wait: wait, deadline: deadline)
        case 25..<30: return .tryLease(affinity: affinity)
        case 30..<50:
            guard let id = leased.randomElement(using: &random) else { break }
            let keepAlive: Duration? = [nil, nil, nil, .seconds(1), .seconds(4)].randomElement(using: &random) ?? nil
            return .release(id, keepAlive: keepAlive)
        case 50..<53: if let id = leased.randomElement(using: &random) { return .returnUnused(id) }
        case 53..<58: if let id = waiting.randomElement(using: &random) { return .cancel(id) }
        case 58..<73:
            guard let id = pendingDials.randomElement(using: &random) else { break }
            return .established(id, affinity: Int.random(in: 1...2, using: &random))
        case 73..<80:
            guard let id = pendingDials.randomElement(using: &random) else { break }
            return .failed(id, Bool.random(using: &random) ? .peer : .resources)
        case 80..<86:
            let known = leased + idle.sorted()
            if let id = known.randomElement(using: &random) { return .closed(id) }
        case 86..<88: return .evictStale(harness.now - .seconds(Int.random(in: 0...3, using: &random)))
        case 88..<90: return .evictOldest
        case 90: return .beginDrain(.addressGone)
        case 91..<94: return .endDrain
        case 98 where mayEnd: return .beginDrain(.shutdown)
        case 99 where mayEnd: return .closeAll
        default: break
        }
        return .advance(.milliseconds(250 * Int.random(in: 0...8, using: &random)))
    }
}
