internal import Bowline

/// Compares the outcomes that the callers saw with the requests that the server executed.
struct IdleRaceJudgement: Sendable {
    /// The figures of one method.
    struct Row: Sendable, Equatable {
        var sent = 0
        /// Requests answered on a connection that had carried a request before.
        var reused = 0
        /// Requests sent a second time because the connection was dead.
        var resent = 0
        /// Requests that failed with an error, by the progress in the error.
        var lost: [RequestProgress: Int] = [:]
        /// Requests that failed with an error although the server executed them.
        var lostThoughExecuted = 0
        var executedTwice = 0

        /// The number of all failed requests.
        var totalLost: Int { lost.values.reduce(0, +) }
    }

    private(set) var rows: [IdleRaceMethod: Row] = [:]
    /// The violated rules, a line for each.
    private(set) var violations: [String] = []

    init(_ records: [IdleRaceRecord], log: AccessLog) {
        for method in IdleRaceMethod.allCases { rows[method] = Row() }
        for record in records {
            let executions = log.executions(of: record.method, id: record.id)
            count(record, executions)
            if let violation = Self.violation(record, executions) {
                violations.append("\(record.method.rawValue) \(record.id): \(violation)")
            }
        }
    }

    /// Whether the log already contains each request that was answered.
    static func isComplete(_ log: AccessLog, for records: [IdleRaceRecord]) -> Bool {
        records.allSatisfy { record in
            guard case .answered = record.outcome else { return true }
            return log.executions(of: record.method, id: record.id) > 0
        }
    }

    private mutating func count(_ record: IdleRaceRecord, _ executions: Int) {
        var row = rows[record.method] ?? Row()
        row.sent += 1
        if executions > 1 { row.executedTwice += 1 }
        switch record.outcome {
        case .answered(_, let isReused, let resends):
            if isReused { row.reused += 1 }
            if resends > 0 { row.resent += 1 }
        case .failed(_, let progress, let resends):
            row.lost[progress, default: 0] += 1
            if resends > 0 { row.resent += 1 }
            if executions > 0 { row.lostThoughExecuted += 1 }
        }
        rows[record.method] = row
    }

    private static func violation(_ record: IdleRaceRecord, _ executions: Int) -> String? {
        if record.method == .post, executions > 1 { return "executed \(executions) times" }
        switch record.outcome {
        case .answered(let isOwn, _, let resends):
            if executions == 0 { return "answered, though the server did not execute it" }
            if !isOwn { return "the answer is not its own" }
            if executions > 1 + resends { return "executed \(executions) times, resent \(resends) times" }
        case .failed(let code, let progress, _):
            if record.method == .get { return "lost: \(code), \(progress.rawValue)" }
            if progress == .neverSent || progress == .refused {
                let fault = executions > 0 ? "executed" : "not sent again"
                return "\(fault), though the error says \(progress.rawValue)"
            }
        }
        return nil
    }
}
