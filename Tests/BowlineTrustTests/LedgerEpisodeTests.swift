internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("Episodes of a ledger, from end to end", .serialized, .timeLimit(.minutes(2)))
struct LedgerEpisodeTests {
    /// What an episode shows that does not depend on what else the process does: other suites open descriptors too, and a slow
    /// machine is late.
    private static func violations(_ record: LedgerRecord) -> [String] {
        LedgerJudge.violations(of: record).filter { $0.rule != .descriptorsLeft && $0.rule != .late }
            .map(\.description)
    }

    /// The first plan of the seed that meets the condition.
    private static func plan(_ wire: LedgerProtocol, where isWanted: (LedgerPlan) -> Bool) throws -> LedgerPlan {
        let plans = (0..<500).lazy.map { LedgerPlan.drawn(seed: 15, episode: $0, wire: wire, count: 40) }
        let plan = plans.first(where: isWanted)
        return try #require(plan)
    }

    @Test("A calm episode: every call succeeds and is executed as it was sent", arguments: LedgerProtocol.allCases)
    func calm(wire: LedgerProtocol) async throws {
        let plan = try Self.plan(wire) { $0.isCalm }
        let record = try await LedgerEpisode(plan).run().record
        #expect(Self.violations(record) == [])
        #expect(record.calls.count == 40)
        #expect(record.executions.count == 40)
        #expect(Set(record.executions.compactMap(\.id)) == Set(plan.requests.map(\.id)))
        #expect(record.remains.isClosed)
        #expect(record.remains.pooled == 0)
    }

    @Test("With a bad path and a bad service no rule is violated", arguments: LedgerProtocol.allCases)
    func faults(wire: LedgerProtocol) async throws {
        let plan = try Self.plan(wire) { plan in
            plan.faults != nil && plan.concurrency >= 8 && plan.requests.contains { $0.acts.count > 2 }
        }
        let record = try await LedgerEpisode(plan).run().record
        #expect(Self.violations(record) == [])
        #expect(record.calls.count == 40)
        #expect(record.calls.allSatisfy { $0.endedAt != nil })
    }

    @Test(
        "A shutdown in the middle refuses later calls, and none of these is executed",
        arguments: LedgerProtocol.allCases)
    func shutdown(wire: LedgerProtocol) async throws {
        let plan = try Self.plan(wire) { (1..<20).contains($0.shutdownAfter ?? 0) }
        let record = try await LedgerEpisode(plan).run().record
        #expect(Self.violations(record) == [])
        #expect(record.calls.count == 40)
        #expect(record.shutdownAt != nil)
    }

    @Test("A client that is released leaves no timer and no task", arguments: LedgerProtocol.allCases)
    func timers(wire: LedgerProtocol) async throws {
        let plan = try Self.plan(wire) { $0.countsTimers && $0.faults != nil && $0.concurrency >= 8 }
        let record = try await LedgerEpisode(plan).run().record
        #expect(Self.violations(record) == [])
        #expect(record.remains.timers == 0)
        #expect(record.remains.tasks == 0)
    }

    @Test("Over HTTP/2, fields that need several frames arrive whole, both ways")
    func largeFields() async throws {
        let plan = try Self.plan(.http2) { plan in
            plan.isCalm && plan.requests.contains { $0.largeFieldBytes > 30_000 }
                && plan.requests.contains {
                    if case .answerWithLargeFields(let bytes)? = $0.acts.first { bytes > 20_000 } else { false }
                }
        }
        let record = try await LedgerEpisode(plan).run().record
        #expect(Self.violations(record) == [])
        #expect(record.executions.count == 40)
    }

    @Test("An HTTP/1.1 service ends connections after some requests", arguments: [LedgerProtocol.http1, .tls])
    func limitedConnections(wire: LedgerProtocol) async throws {
        let plan = try Self.plan(wire) { $0.requestsPerConnection == 5 && $0.faults == nil && $0.shutdownAfter == nil }
        let record = try await LedgerEpisode(plan).run().record
        #expect(Self.violations(record) == [])
        #expect(record.calls.count == 40)
    }

    @Test("A service that executes a request twice is found out")
    func spoiled() async throws {
        let plan = try Self.plan(.http1) { $0.isCalm }
        var record = try await LedgerEpisode(plan).run().record
        let post = try #require(plan.requests.first(where: { !$0.isIdempotent }))
        let execution = try #require(record.executions.first(where: { $0.id == post.id }))
        record.executions.append(execution)
        let rules = LedgerJudge.violations(of: record).filter { $0.id == post.id }.map(\.rule)
        #expect(rules.contains(.executedTwice))
        #expect(rules.contains(.moreThanSent))
    }
}
