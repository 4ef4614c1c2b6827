import Testing

@testable import BowlineTesting

@Suite("Fault plans")
struct FaultPlanTests {
    private func scripts(_ plan: FaultPlan, _ count: Int = 500) -> [FaultScript] {
        (0..<count).map { plan.script(for: $0) }
    }

    private func events(_ scripts: [FaultScript]) -> [FaultEvent] {
        scripts.flatMap { $0.toServer.events + $0.toClient.events }
    }

    @Test("the same seed yields the same scripts, in any order; another seed others")
    func seeds() {
        var random = SeededRandom.fromEnvironment()
        let seed = random.next()
        let drawn = scripts(.seeded(seed))
        let again = FaultPlan.seeded(seed)
        for connection in (0..<500).reversed() {
            #expect(again.script(for: connection) == drawn[connection])
        }
        #expect(scripts(.seeded(seed &+ 1)) != drawn)
        #expect(Set(drawn).count > 50)
    }

    @Test("The seed determines the jitter of each connection and direction, and no two have the same")
    func jitter() {
        let plan = FaultPlan.seeded(1)
        func numbers(_ plan: FaultPlan, _ connection: Int, _ direction: FaultDirection) -> [Double] {
            var random = plan.jitter(for: connection, direction)
            return (0..<4).map { _ in random.nextDouble() }
        }
        let first = numbers(plan, 0, .toServer)
        #expect(numbers(FaultPlan.seeded(1), 0, .toServer) == first)
        #expect(numbers(plan, 0, .toClient) != first)
        #expect(numbers(plan, 1, .toServer) != first)
        #expect(numbers(FaultPlan.seeded(2), 0, .toServer) != first)
    }

    @Test("The standard mix has faults on three connections in ten, and only faults that TCP has")
    func standardMix() {
        let drawn = scripts(.seeded(7), 2000)
        let faulty = drawn.count { !events([$0]).isEmpty || $0.opening != .connect }
        #expect((480...720).contains(faulty))
        for event in events(drawn) {
            switch event.kind {
            case .swallow, .duplicate, .corrupt: Issue.record("\(event)")
            case .cut, .halfClose, .pause, .silence, .silenceBoth: break
            }
            #expect((0...16_384).contains(event.offset))
        }
    }

    @Test("slow lanes have latency, jitter, slices, a trickle or a rate, within their ranges")
    func slowLanes() {
        var slow = FaultMix()
        (slow.faulty, slow.slow) = (0, 1)
        slow.gaps = .microseconds(1) ... .microseconds(9)
        let lanes = scripts(.seeded(7, mix: slow), 200).flatMap { [$0.toServer, $0.toClient] }
        #expect(lanes.contains { $0.latency > .zero })
        #expect(lanes.contains { $0.jitter > .zero })
        #expect(lanes.contains { $0.bytesPerSecond != nil })
        #expect(lanes.contains { $0.sliceBytes != nil && $0.sliceGap == .zero })
        #expect(lanes.contains { $0.sliceBytes != nil && $0.sliceGap > .zero })
        #expect(lanes.allSatisfy { $0.sliceGap <= .microseconds(9) && ($0.sliceBytes != nil || $0.sliceGap == .zero) })
    }

    @Test("the mix of everything has each fault")
    func everything() {
        let drawn = scripts(.seeded(7, mix: .everything), 2000)
        var found: Set<String> = []
        for event in events(drawn) { found.insert(String(event.kind.text.prefix { $0 != " " })) }
        #expect(found == ["cut", "half-close", "pause", "silence", "silence,", "swallow", "duplicate", "corrupt"])
        let openings = Set(drawn.map { String("\($0.opening)".prefix { $0 != "(" }) })
        #expect(openings == ["connect", "refuse", "silence", "delay"])
    }

    @Test("a mix without faults draws none, and numbers out of range do no harm")
    func edges() {
        var none = FaultMix()
        (none.faulty, none.slow) = (0, -1)
        #expect(Set(scripts(.seeded(1, mix: none))) == [.none])
        var odd = FaultMix()
        (odd.faulty, odd.slow) = (2, .infinity)
        odd.weights = [.pause: .infinity, .cut: -1, .halfClose: .nan, .swallow: 1]
        odd.faults = -5 ... -5
        odd.offsets = Int.min...Int.max
        odd.counts = Int.min ... -1
        odd.slices = -1...0
        odd.rates = -1...0
        odd.latencies = .seconds(-2) ... .seconds(-1)
        odd.gaps = .seconds(-2) ... .seconds(-1)
        let drawn = scripts(.seeded(1, mix: odd))
        #expect(events(drawn).count == 500)
        #expect(events(drawn).allSatisfy { $0.kind == .swallow(1) && $0.offset >= 0 })
        var empty = FaultMix()
        (empty.faulty, empty.slow, empty.weights) = (1, 0, [:])
        #expect(Set(scripts(.seeded(1, mix: empty))) == [.none])
    }

    @Test("plans of scripts: one for all, one each and the rest, and a closure")
    func fixed() {
        let (silent, sliced) = (FaultScript { $0.opening = .silence }, FaultScript { $0.toClient.sliceBytes = 1 })
        #expect(scripts(.every(silent), 3) == [silent, silent, silent])
        #expect(scripts(.scripts([silent, sliced]), 4) == [silent, sliced, .none, .none])
        #expect(scripts(.scripts([silent], then: sliced), 3) == [silent, sliced, sliced])
        #expect(scripts(.make { $0 == 1 ? silent : sliced }, 3) == [sliced, silent, sliced])
        #expect(scripts(.none, 2) == [.none, .none])
    }

    @Test("the log keeps the last 10,000 records at least, and twice as many at most")
    func boundedLog() {
        var state = FaultProxyState(plan: .none)
        for number in 0..<25_000 {
            state.note(FaultRecord(number, nil, 0, "x"))
            #expect(state.records.count < 20_000)
        }
        #expect(state.records.last?.connection == 24_999)
        #expect(state.records.count >= 10_000)
    }
}
