internal import Bowline

/// The figures of a run, per protocol and route.
struct LedgerTally: Sendable {
    private struct Row: Sendable {
        var requests = 0
        var ok = 0
        var rejected = 0
        var failed: [RequestProgress: Int] = [:]
        var cancelled = 0
        var sent = 0
        var executions = 0
        /// How much later than its deadline the slowest call ended, in nanoseconds.
        var slowest: Int64 = 0
    }

    private struct Key: Sendable, Hashable {
        let wire: LedgerProtocol
        let route: String
    }

    private var rows: [Key: Row] = [:]
    private var faults: [String: Int] = [:]
    private(set) var violations: [LedgerRule: Int] = [:]
    private(set) var requests = 0
    private(set) var episodes = 0

    /// Adds the outcome of an episode.
    mutating func add(_ outcome: LedgerEpisode.Outcome, _ violations: [LedgerViolation], wire: LedgerProtocol) {
        let key = Key(wire: wire, route: outcome.record.route.name)
        var row = rows[key] ?? Row()
        for call in outcome.record.calls { Self.count(call, in: &row) }
        row.executions += outcome.record.executions.count
        rows[key] = row
        requests += outcome.record.calls.count
        episodes += 1
        faults.merge(outcome.faults, uniquingKeysWith: +)
        for violation in violations { add(violation.rule) }
    }

    /// Adds a violation that belongs to no episode.
    mutating func add(_ rule: LedgerRule) {
        violations[rule, default: 0] += 1
    }

    private static func count(_ call: LedgerCall, in row: inout Row) {
        row.requests += 1
        row.sent += call.requestsSent ?? 0
        switch call.told {
        case .answered(let answer):
            if answer.status == 200 { row.ok += 1 } else { row.rejected += 1 }
        case .failed(_, let progress, _): row.failed[progress, default: 0] += 1
        case .cancelled: row.cancelled += 1
        case .other, .nothing: break
        }
        // A call that ends before its deadline has a negative value and does not count.
        if let endedAt = call.endedAt, call.deadlineAt < .max {
            row.slowest = max(row.slowest, endedAt - call.deadlineAt)
        }
    }

    /// The figures: a table of requests, a line of faults, a table of violations.
    var description: String {
        var table = TextTable([
            "protocol", "route", "requests", "ok", "rejected", "never sent", "refused", "ambiguous", "response begun",
            "cancelled", "sent", "executed", "late ms",
        ])
        let keys = LedgerProtocol.allCases.flatMap { wire in LedgerRoute.names.map { Key(wire: wire, route: $0) } }
        for key in keys {
            guard let row = rows[key] else { continue }
            let failed = [RequestProgress.neverSent, .refused, .ambiguous, .responseStarted].map { row.failed[$0] ?? 0 }
            let figures = [row.requests, row.ok, row.rejected] + failed + [row.cancelled, row.sent, row.executions]
            table.add([key.wire.rawValue, key.route] + figures.map { "\($0)" } + ["\(row.slowest / 1_000_000)"])
        }
        let done = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        var rules = TextTable(["violations of", "count"])
        for rule in LedgerRule.allCases { rules.add([rule.rawValue, "\(violations[rule] ?? 0)"]) }
        return "\(table)\n\nfaults of the path: \(done.isEmpty ? "none" : done)\n\n\(rules)"
    }
}
