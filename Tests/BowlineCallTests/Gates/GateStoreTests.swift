import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("A store of tokens behind the rate gate", .timeLimit(.minutes(1)))
struct GateStoreTests {
    private let store = ScriptedStore()

    private func makeHarness(_ change: (inout RateOptions) -> Void = { _ in }) -> GateHarness {
        let harness = GateHarness { options in
            options.rate = RateOptions()
            options.rate?.perSecond = 10
            options.rate?.burst = 5
            options.rate?.store = store
            if var rate = options.rate {
                change(&rate)
                options.rate = rate
            }
        }
        harness.stub.on(.get, "/{n}", always: .respond(.ok))
        return harness
    }

    @Test("An attempt asks the store for its scope and limit, and goes when the store answers", .tags(.GA4, .RA6))
    func asks() async throws {
        let harness = makeHarness()
        _ = try await harness.call("/1")
        _ = try await harness.call("/2") { $0.policyScope = "search" }
        let origin = try GateHarness.origin()
        #expect(store.scopes == [PolicyScope(origin: origin), PolicyScope(origin: origin, name: "search")])
        #expect(store.limits == [RateLimit(perSecond: 10, burst: 5)])
        #expect(store.given == 2)
        #expect(harness.events.texts == ["waited rate 0 ms", "waited rate 0 ms"])
    }

    /// A store that notes the deadline under which it is asked.
    private final class AskedStore: RateLimitStore {
        let deadlines = Shared<[Deadline?]>([])

        func take(_ count: Int, of scope: PolicyScope, limit: RateLimit) async throws -> RateLimitGrant {
            let deadline = Deadline.current
            deadlines.change { $0.append(deadline) }
            return RateLimitGrant(count: count)
        }
    }

    @Test("A question to the store has no deadline of the call that caused it", .tags(.RA6))
    func withoutDeadline() async throws {
        let asked = AskedStore()
        let harness = makeHarness { $0.store = asked }
        try await Deadline.with(Deadline(harness.clock.now.advanced(by: .milliseconds(5)))) {
            _ = try await harness.call("/1")
        }
        #expect(asked.deadlines.value == [nil])
    }

    @Test("Attempts that come together share one question, and go in order", .tags(.RA6))
    func together() async throws {
        let gate = Gate()
        store.behaviour = .hangs(gate)
        let harness = makeHarness()
        var tasks: [Task<ServiceResponse, any Error>] = []
        for number in 1...4 { tasks.append(try await harness.start("/\(number)")) }
        try await gate.waitForWaiters()
        #expect(store.questions == [1])
        #expect(try harness.snapshot().waiting == 4)
        store.behaviour = .gives
        gate.open()
        for task in tasks { _ = try await task.value }
        #expect(store.questions == [1, 3])
        #expect(try harness.snapshot().waiting == 0)
    }

    @Test(
        "A store with too few tokens makes attempts wait for its pause, and refuses the ones that cannot",
        .tags(.GA3, .RA6))
    func tooFew() async throws {
        store.behaviour = .limited(atMost: 1, retryAfter: .milliseconds(700))
        let harness = makeHarness()
        _ = try await harness.call("/1")
        let second = try await harness.start("/2")
        let resumes = harness.clock.now.advanced(by: .milliseconds(700))
        try await eventually("the pause") { harness.clock.nextDeadline == resumes }
        let late = try await harness.error("/3", deadline: .milliseconds(500))
        #expect(late?.refusal?.reason == .deadline)
        store.behaviour = .gives
        harness.clock.advance(by: .milliseconds(700))
        _ = try await second.value
        #expect(harness.paths == ["/1", "/2"])
    }

    @Test("While the store fails, a local bucket is used; when it answers again, its tokens are", .tags(.RA7))
    func failsAndRecovers() async throws {
        store.behaviour = .fails
        let harness = makeHarness { $0.perSecond = 100 }
        // Never an answer: a tenth of the limit, 10 per second.
        let first = try await harness.start("/1")
        try await eventually("the store to be away") { try harness.snapshot().rate.isStoreAway }
        try await harness.clock.waitForSleepers(count: 2)
        harness.clock.advance(by: .milliseconds(100))
        _ = try await first.value
        let second = try await harness.start("/2")
        try await harness.clock.waitForSleepers(count: 2)
        harness.clock.advance(by: .milliseconds(99))
        #expect(harness.paths == ["/1"])
        harness.clock.advance(by: .milliseconds(1))
        _ = try await second.value
        // 250 ms after the failure the next attempt asks again.
        store.behaviour = .gives
        harness.clock.advance(by: .milliseconds(50))
        let third = try await harness.start("/3")
        _ = try await third.value
        try await eventually("the store to be back") { try !harness.snapshot().rate.isStoreAway }
        #expect(store.given > 0)
        _ = try await harness.call("/4")
        #expect(harness.paths.count == 4)
        #expect(try harness.snapshot().waiting == 0)
    }

    @Test("A store that does not answer within 100 ms counts as failed, and is cancelled", .tags(.RA7))
    func slow() async throws {
        let gate = Gate()
        store.behaviour = .hangs(gate)
        let harness = makeHarness { $0.maximumWait = .seconds(3) }
        let first = try await harness.start("/1")
        try await gate.waitForWaiters()
        // The attempt's own limit, and the store's.
        try await harness.clock.waitForSleepers(count: 2)
        harness.clock.advance(by: .milliseconds(100))
        try await eventually("the store to be away") { try harness.snapshot().rate.isStoreAway }
        try await eventually("the question to be cancelled") { gate.waitingCount == 0 }
        // The attempt's own limit, and the time of the next token: a task of its own waits for it.
        try await harness.clock.waitForSleepers(count: 2)
        // One per second of its own; a tenth of a token is there.
        let response = try await harness.finish(first).get()
        #expect(response.status == .ok)
        #expect(harness.time == .seconds(1))
    }

    @Test("Cancelled attempts leave the queue, and the answer that comes later is kept for the next ones", .tags(.GA6))
    func cancelled() async throws {
        let gate = Gate()
        store.behaviour = .hangs(gate)
        let harness = makeHarness()
        let first = try await harness.start("/1")
        try await gate.waitForWaiters()
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(try harness.snapshot().waiting == 0)
        gate.open()
        try await eventually("the answer") { store.given == 1 }
        store.behaviour = .fails
        let next = try await harness.start("/2")
        _ = try await harness.finish(next).get()
        #expect(harness.paths == ["/2"])
    }

    @Test("A pause that the service asked for counts for attempts with a store, too", .tags(.RA2))
    func closed() async throws {
        let harness = makeHarness()
        harness.stub.on(.get, "/busy", always: .respond(.tooManyRequests, fields: [.retryAfter: "5"]))
        _ = try await harness.call("/busy")
        let error = try await harness.error("/1")
        #expect(error?.refusal?.reason == .closedByService)
        #expect(store.given == 1)
    }
}
