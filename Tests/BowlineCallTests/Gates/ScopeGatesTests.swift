import BowlineCore
import Testing

@testable import BowlineCall

@Suite("The gates of one scope")
struct ScopeGatesTests {
    /// The gates, and a clock that a test moves.
    private final class Driven {
        let gates: ScopeGates
        let settings: GateSettings
        var effects = GateEffects()
        private let scope: PolicyScope
        var now = MonotonicInstant(nanoseconds: 1_000_000_000)

        init(_ change: (inout ResilienceOptions) -> Void) throws {
            scope = PolicyScope(origin: try ServiceURL("http://stub.invalid").origin)
            gates = ScopeGates(scope, at: now)
            var options = ResilienceOptions()
            change(&options)
            settings = try #require(GateSettings(options))
        }

        func makeVisit() -> GateVisit { GateVisit(scope: scope, priority: .normal, deadline: nil) }

        func enter(_ visit: inout GateVisit) -> GateStep { gates.enter(&visit, at: now, settings, &effects) }

        func turnEnded(_ visit: inout GateVisit, _ end: GateWaitEnd) -> GateStep {
            gates.turnEnded(&visit, end, at: now, settings, &effects)
        }

        func woke(_ visit: inout GateVisit) -> GateStep { gates.woke(&visit, .due, at: now, settings, &effects) }

        func left(_ pass: GatePass, _ report: GateReport = .nothing) {
            gates.left(pass, report, at: now, random: 0.5, settings, &effects)
        }

        func storeAnswered(_ count: Int) throws {
            let ask = try #require(effects.content?.ask)
            let limit = try #require(settings.supply?.limit)
            effects = GateEffects()
            gates.storeAnswered(ask.number, RateLimitGrant(count: count), at: now, limit, &effects)
        }

        var snapshot: ScopeSnapshot { gates.snapshot(at: now) }
    }

    private func pass(of step: GateStep) -> GatePass? {
        if case .admitted(let pass) = step { pass } else { nil }
    }

    private func isQueued(_ step: GateStep) -> Bool {
        if case .queued = step { true } else { false }
    }

    private func isAbandoned(_ step: GateStep) -> Bool {
        if case .abandoned = step { true } else { false }
    }

    @Test("An attempt that is cancelled when its turn has come gives its place in flight to the next", .tags(.GA6))
    func placeOfCancelled() throws {
        let driven = try Driven {
            $0.concurrency = ConcurrencyOptions()
            $0.concurrency?.limit = .fixed(1)
        }
        var (first, second, third) = (driven.makeVisit(), driven.makeVisit(), driven.makeVisit())
        let held = try #require(pass(of: driven.enter(&first)))
        #expect(isQueued(driven.enter(&second)))
        #expect(isQueued(driven.enter(&third)))
        driven.left(held)
        #expect(driven.effects.content?.turns.count == 1)
        #expect(isAbandoned(driven.turnEnded(&second, .abandoned)))
        #expect(driven.effects.content?.turns.count == 2)
        let last = try #require(pass(of: driven.turnEnded(&third, .due)))
        driven.left(last)
        let snapshot = driven.snapshot
        #expect(snapshot.concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
        #expect(snapshot.inFlight == 0)
        #expect(snapshot.waiting == 0)
        #expect(snapshot.admitted == 2)
    }

    @Test("A drain that comes when a retry's turn has come gives its place in flight back, and refuses it", .tags(.GA6))
    func placeOfDrained() throws {
        let driven = try Driven {
            $0.concurrency = ConcurrencyOptions()
            $0.concurrency?.limit = .fixed(1)
        }
        var (first, second) = (driven.makeVisit(), driven.makeVisit())
        let held = try #require(pass(of: driven.enter(&first)))
        #expect(isQueued(driven.enter(&second)))
        driven.left(held)
        guard case .refused(let refusal) = driven.turnEnded(&second, .draining) else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == .draining)
        #expect(driven.snapshot.concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
    }

    @Test(
        "An attempt whose place in flight comes during a pause queues again, but only for the rest of its wait",
        .tags(.GA3))
    func waitBeyondPause() throws {
        let driven = try Driven {
            $0.concurrency = ConcurrencyOptions()
            $0.concurrency?.limit = .fixed(1)
            $0.concurrency?.maximumWait = .seconds(1)
            $0.rate = RateOptions()
            $0.rate?.perSecond = 1000
            $0.rate?.burst = 100
            $0.rate?.maximumWait = .seconds(60)
        }
        var (first, second, third) = (driven.makeVisit(), driven.makeVisit(), driven.makeVisit())
        let held = try #require(pass(of: driven.enter(&first)))
        let began = driven.now
        guard case .queued(_, let limit) = driven.enter(&second) else {
            Issue.record("not queued")
            return
        }
        #expect(limit == began.advanced(by: .seconds(1)))
        // The place comes when 900 ms have passed, with the request to pause for 2 s.
        driven.now = began.advanced(by: .milliseconds(900))
        let answer = AttemptOutcome.answered(
            ServiceResponse(status: .tooManyRequests, fields: [.retryAfter: "2"]), RenewalChance())
        driven.left(held, GateReport(answer, driven.settings, maximumPause: .seconds(30), wallClock: { 0 }))
        guard case .sleeps(_, let due) = driven.turnEnded(&second, .due) else {
            Issue.record("goes in the pause")
            return
        }
        #expect(due >= driven.now.advanced(by: .seconds(2)))
        #expect(driven.snapshot.concurrency == ConcurrencySnapshot(limit: 1, inFlight: 0, waiting: 0))
        // Another attempt is faster after the pause. 100 ms of the wait are left.
        driven.now = due.advanced(by: .seconds(1))
        #expect(pass(of: driven.enter(&third)) != nil)
        guard case .queued(_, let again) = driven.woke(&second) else {
            Issue.record("not queued again")
            return
        }
        #expect(again == driven.now.advanced(by: .milliseconds(100)))
    }

    @Test("The wait for a place in flight is no wait for the rate gate", .tags(.GA3))
    func pauseAfterQueue() throws {
        let driven = try Driven {
            $0.concurrency = ConcurrencyOptions()
            $0.concurrency?.limit = .fixed(1)
            $0.concurrency?.maximumWait = .seconds(10)
            $0.rate = RateOptions()
            $0.rate?.perSecond = 1000
            $0.rate?.burst = 100
            $0.rate?.maximumWait = .seconds(3)
        }
        var (first, second) = (driven.makeVisit(), driven.makeVisit())
        let held = try #require(pass(of: driven.enter(&first)))
        #expect(isQueued(driven.enter(&second)))
        driven.now = driven.now.advanced(by: .milliseconds(2500))
        let answer = AttemptOutcome.answered(
            ServiceResponse(status: .tooManyRequests, fields: [.retryAfter: "1"]), RenewalChance())
        driven.left(held, GateReport(answer, driven.settings, maximumPause: .seconds(30), wallClock: { 0 }))
        guard case .sleeps(_, let due) = driven.turnEnded(&second, .due) else {
            Issue.record("refused, although the pause is shorter than rate.maximumWait")
            return
        }
        #expect(due >= driven.now.advanced(by: .seconds(1)))
        #expect(due <= driven.now.advanced(by: .seconds(3)))
    }

    @Test("A scope whose store has been asked is in use until the store has answered", .tags(.GA4))
    func openQuestion() throws {
        let driven = try Driven {
            $0.rate = RateOptions()
            $0.rate?.store = ScriptedStore()
        }
        var visit = driven.makeVisit()
        #expect(isQueued(driven.enter(&visit)))
        let question = driven.effects.content?.ask
        #expect(isAbandoned(driven.turnEnded(&visit, .abandoned)))
        #expect(driven.gates.isInUse)
        driven.effects = GateEffects()
        driven.effects.add { $0.ask = question }
        try driven.storeAnswered(1)
        #expect(!driven.gates.isInUse)
    }

    @Test("An attempt that is cancelled when it has its token gives it to the next attempt", .tags(.GA6, .RA6))
    func tokenOfCancelled() throws {
        let driven = try Driven {
            $0.rate = RateOptions()
            $0.rate?.store = ScriptedStore()
        }
        var (first, second, third) = (driven.makeVisit(), driven.makeVisit(), driven.makeVisit())
        #expect(isQueued(driven.enter(&first)))
        try driven.storeAnswered(1)
        #expect(driven.effects.content?.turns.count == 1)
        #expect(isAbandoned(driven.turnEnded(&first, .abandoned)))
        #expect(pass(of: driven.enter(&second)) != nil)
        #expect(isQueued(driven.enter(&third)))
    }
}
