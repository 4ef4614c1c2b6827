internal import BowlineCore

/// The text that the command prints: the figures of each method, why connections closed, and the violations.
struct IdleRaceReport: Sendable {
    let judgement: IdleRaceJudgement
    /// How many connections were opened.
    let opened: Int
    /// How many connections closed for each reason of `snapshot().closed`.
    let closed: [String: Int]
    /// Whether the server announces in `Keep-Alive: timeout` when it closes an unused connection.
    let isHinted: Bool

    private static let shownViolations = 20

    /// How many connections the server closed while they were unused or while a request began.
    var closedByServer: Int {
        ["closedByPeer", "transportError"].reduce(0) { $0 + (closed[$1] ?? 0) }
    }

    /// The reasons why the run fails; empty if the run succeeds.
    var problems: [String] {
        var problems = judgement.violations
        let posts = judgement.rows[.post]?.totalLost ?? 0
        let reused = judgement.rows.values.reduce(0) { $0 + $1.reused }
        if isHinted {
            if closedByServer > 0 {
                problems.append("the server closed \(closedByServer) connections in spite of its hint")
            }
            if posts > 0 { problems.append("\(posts) POSTs were lost in spite of the hint") }
            if reused == 0 { problems.append("no connection was used twice: the gaps are too long") }
        } else {
            let met = judgement.rows.values.reduce(0) { $0 + $1.resent + $1.totalLost }
            if closedByServer == 0 { problems.append("the server closed no connection: the gaps are too short") }
            if reused == 0 {
                problems.append("no connection was used twice: the gaps are too long")
            } else if closedByServer > 0, met == 0 {
                problems.append("no request met the server's close: the gaps miss it")
            }
        }
        return problems
    }

    /// The report as lines, without a newline at the end.
    var text: String {
        var table = TextTable([
            "method", "sent", "reused", "resent", "lost", "lost, executed", "executed twice",
        ])
        for method in IdleRaceMethod.allCases {
            let row = judgement.rows[method] ?? IdleRaceJudgement.Row()
            table.add(
                [method.rawValue]
                    + [row.sent, row.reused, row.resent, row.totalLost, row.lostThoughExecuted, row.executedTwice]
                    .map { "\($0)" })
        }
        return (["\(table)", "", lost, connections] + shownProblems).joined(separator: "\n")
    }

    private var lost: String {
        let row = judgement.rows[.post] ?? IdleRaceJudgement.Row()
        guard row.totalLost > 0, row.sent > 0 else { return "POSTs lost: 0 of \(row.sent)" }
        let kinds = row.lost.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
        let rate = (100_000 * row.totalLost + row.sent / 2) / row.sent
        return "POSTs lost: \(row.totalLost) of \(row.sent), \(rate) in 100,000: \(kinds.joined(separator: ", "))"
    }

    private var connections: String {
        let reasons = closed.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return "connections: \(opened) opened, \(closedByServer) closed by the server; closed: \(reasons)"
    }

    private var shownProblems: [String] {
        let all = problems
        var lines = all.prefix(Self.shownViolations).map { "VIOLATION  \($0)" }
        if all.count > lines.count { lines.append("… and \(all.count - lines.count) more") }
        return lines
    }
}
