import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineTransport

/// Compares the machine with `ConnectModel` event by event, and checks its invariants after each.
@Suite("Random connects in virtual time")
struct ConnectRandomWalkTests {
    @Test("In 20,000 random connects the machine does what the model does, and each attempt ends")
    func walks() throws {
        var random = SeededRandom.fromEnvironment()
        for round in 0..<20_000 {
            let cancelledAfter = random.nextBool(probability: 0.25) ? random.next(in: 0..<20) : nil
            var walk = ConnectWalk(SeededRandom(seed: random.next()), cancelledAfter: cancelledAfter)
            let difference = walk.run()
            try #require(difference == nil, "round \(round), \(difference ?? "")")
        }
    }

    @Test("A connect that is cancelled at any step closes its attempts", arguments: ConnectWalk.Network.allCases)
    func cancelledAtEveryStep(network: ConnectWalk.Network) throws {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<40 {
            let script = SeededRandom(seed: random.next())
            var whole = ConnectWalk(script, network: network)
            try #require(whole.run() == nil)
            for step in 0..<whole.steps {
                var walk = ConnectWalk(script, network: network, cancelledAfter: step)
                let difference = walk.run()
                try #require(difference == nil, "seed \(script.seed), step \(step), \(difference ?? "")")
            }
        }
    }

    @Test("Each address that swallows packets costs exactly 250 ms when the next one answers", arguments: 1..<8)
    func swallowed(count: Int) {
        var harness = ConnectHarness()
        let names = "abcdefgh".prefix(count + 1).map { "4\($0)" }
        #expect(harness.perform(.begin(names), at: 0) == [.connect("4a"), .timer(250)])
        for (number, name) in names.enumerated().dropFirst() {
            let effects = harness.perform(.timer, at: 250 * number)
            #expect(effects.first == .connect(name))
        }
        let effects = harness.perform(.connected(names[count]), at: 250 * count + 1)
        #expect(effects == [.close(Array(names.dropLast())), .connected(names[count])])
    }

    @Test("A hundred addresses that refuse are all tried, at most eight at a time, and then the connect fails")
    func hundredRefused() {
        var machine = ConnectStateMachine()
        let addresses = (0..<100).map { IPAddress.example($0 < 50 ? .v4 : .v6, number: UInt8($0)) }
        var effects = machine.begin(.addresses(addresses), now: MonotonicInstant(milliseconds: 0))
        var tried: [IPAddress] = []
        while let attempt = effects.connect {
            tried.append(attempt.address)
            effects = machine.attemptFailed(
                attempt.id, ConnectHarness.Refused(), .refused, now: MonotonicInstant(milliseconds: tried.count))
        }
        #expect(Set(tried) == Set(addresses))
        #expect(tried.count == 100)
        guard case .failed(let failure) = effects.outcome else {
            Issue.record("the connect goes on")
            return
        }
        #expect(failure.attemptCount == 100)
        #expect(failure.attempts.count == 8)
    }

    @Test("A hundred addresses that swallow packets keep eight attempts open until the dial's limit")
    func hundredSilent() {
        var machine = ConnectStateMachine()
        let addresses = (0..<100).map { IPAddress.example(.v4, number: UInt8($0)) }
        var effects = machine.begin(.addresses(addresses), now: MonotonicInstant(milliseconds: 0))
        var count = 1
        while case .set(let id, let instant) = effects.timer {
            effects = machine.timerFired(id, now: instant)
            count += 1
        }
        #expect(count == 8)
        let closed = machine.cancel().close
        #expect(closed.map(\.address) == Array(addresses.prefix(8)))
    }
}
