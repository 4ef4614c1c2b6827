import BowlineCore
import Testing

@testable import BowlineCall

@Suite("The table of scopes")
struct ScopeTableTests {
    private static func scope(_ number: Int) throws -> PolicyScope {
        PolicyScope(origin: try ServiceURL("http://h\(number).invalid").origin)
    }

    private static func at(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    private static func settings(_ change: (inout ResilienceOptions) -> Void = { _ in }) throws -> GateSettings {
        var options = ResilienceOptions.standard
        change(&options)
        return try #require(GateSettings(options))
    }

    /// Sends one attempt through the gates of a scope; returns its pass if it stays in flight.
    @discardableResult
    private static func use(
        _ scope: PolicyScope, _ table: inout ScopeTable, at now: MonotonicInstant, _ settings: GateSettings,
        _ report: GateReport? = .nothing
    ) -> GatePass? {
        var visit = GateVisit(scope: scope, priority: .normal, deadline: nil)
        var effects = GateEffects()
        let gates = table.gates(of: scope, at: now)
        guard case .admitted(let pass) = gates.enter(&visit, at: now, settings, &effects) else { return nil }
        if let report { gates.left(pass, report, at: now, random: 0.5, settings, &effects) }
        return pass
    }

    @Test("A full table forgets the quarter of its scopes that has been idle for longest", .tags(.GA5))
    func forgetsColdest() throws {
        var table = ScopeTable(maximum: 16)
        let settings = try Self.settings()
        for number in 0..<16 { Self.use(try Self.scope(number), &table, at: Self.at(Int64(number)), settings) }
        Self.use(try Self.scope(0), &table, at: Self.at(20), settings)
        Self.use(try Self.scope(16), &table, at: Self.at(21), settings)
        #expect(table.count == 13)
        for number in 1...4 { #expect(table[try Self.scope(number)] == nil) }
        for number in [0, 5, 15, 16] { #expect(table[try Self.scope(number)] != nil) }
    }

    @Test("Scopes that have been idle for ten minutes are forgotten when another one comes", .tags(.GA5))
    func forgetsIdle() throws {
        var table = ScopeTable(maximum: 16)
        let settings = try Self.settings()
        for number in 0..<8 { Self.use(try Self.scope(number), &table, at: Self.at(0), settings) }
        Self.use(try Self.scope(3), &table, at: Self.at(300), settings)
        Self.use(try Self.scope(99), &table, at: Self.at(600), settings)
        #expect(table.count == 2)
        #expect(table[try Self.scope(3)] != nil)
    }

    @Test(
        "A scope in use or isolated is never forgotten, and one that protects its service only after the others",
        .tags(.GA5))
    func keeps() throws {
        var table = ScopeTable(maximum: 8)
        let settings = try Self.settings { $0.sharesRetryAfter = true }
        let inFlight = Self.use(try Self.scope(0), &table, at: Self.at(0), settings, nil)
        #expect(inFlight != nil)
        _ = table.gates(of: try Self.scope(1), at: Self.at(0)).isolate(at: Self.at(0))
        let busy = GateReport(
            .answered(ServiceResponse(status: .tooManyRequests, fields: [.retryAfter: "3600"])), settings,
            maximumPause: .seconds(100_000), wallClock: { 0 })
        Self.use(try Self.scope(2), &table, at: Self.at(0), settings, busy)
        for number in 3..<8 { Self.use(try Self.scope(number), &table, at: Self.at(1), settings) }
        // Two are forgotten at a time: among 3 to 7, although 0 to 2 have been idle for longer.
        Self.use(try Self.scope(8), &table, at: Self.at(2), settings)
        #expect(table.count == 7)
        for number in 0...2 { #expect(table[try Self.scope(number)] != nil) }
        // When only guarding ones are left, they go; those in use stay, even if the table grows.
        for number in 10..<40 { Self.use(try Self.scope(number), &table, at: Self.at(3), settings, nil) }
        #expect(table[try Self.scope(2)] == nil)
        #expect(table[try Self.scope(0)] != nil)
        #expect(table[try Self.scope(1)] != nil)
        for number in 10..<40 { #expect(table[try Self.scope(number)] != nil) }
    }
}
