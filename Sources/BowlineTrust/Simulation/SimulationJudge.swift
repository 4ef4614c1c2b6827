internal import Bowline

/// Compares the record of a simulation with the rules of the client. The verdict depends only on the record.
struct SimulationJudge: Sendable {
    /// How late a deadline may be noticed: the interval of the client's deadline timer, and a little more.
    private static let lateness = Duration.milliseconds(10)
    private static let limit = 20

    /// The violated rules; empty if there are none.
    private(set) var violations: [String] = []
    private let record: SimulationRecord
    private var plan: SimulationPlan { record.plan }

    init(_ record: SimulationRecord) {
        self.record = record
        violations = record.problems.map { "the client's fault: \($0)" } + record.poolViolations
        for call in record.calls { judge(call) }
        judgeBudget()
        judgeDrain()
        judgeDeadlines()
        judgeShutdown()
        judgeRemains()
    }

    private mutating func add(_ violation: String) {
        if violations.count < Self.limit { violations.append(violation) }
    }

    // MARK: Calls

    private mutating func judge(_ record: SimulationCallRecord) {
        let call = record.call
        let executions = call.number < self.record.executions.count ? self.record.executions[call.number] : 0
        guard record.endings == 1, let told = record.told else {
            add("call \(call.number) has ended \(record.endings) times")
            return
        }
        let unchanged =
            self.record.executionsUnchanged.indices.contains(call.number)
            ? self.record.executionsUnchanged[call.number] : 0
        if !call.mayRepeat, unchanged > 1 { add("\(call.method) \(call.number) was executed \(unchanged) times") }
        if let sent = record.requestsSent, executions > sent {
            add("call \(call.number) was executed \(executions) times, and sent \(sent) times")
        }
        switch told {
        case .answered(let answer): judge(answer, of: call, executions: executions, isEnded: true)
        case .cancelledInBody(let answer): judge(answer, of: call, executions: executions, isEnded: false)
        case .failed(let code, let progress): judge(code, progress, of: record, executions: executions)
        case .cancelled:
            if record.cancelled == nil { add("call \(call.number) was cancelled, and nothing cancelled it") }
        case .other(let text): add("call \(call.number) failed with \(text)")
        }
        if let cancelled = record.cancelled, let ended = record.ended, isCancelled(told),
            cancelled.duration(to: ended) > Self.lateness
        {
            add("call \(call.number) ended \(cancelled.duration(to: ended)) after it was cancelled")
        }
    }

    private func isCancelled(_ told: SimulationTold) -> Bool {
        switch told {
        case .cancelled, .cancelledInBody: true
        default: false
        }
    }

    private mutating func judge(
        _ answer: SimulationAnswer, of call: SimulationCall, executions: Int, isEnded: Bool
    ) {
        if answer.number != call.number { add("call \(call.number) got the answer of \(answer.number ?? -1)") }
        if !answer.isMatching { add("call \(call.number) got a body of other bytes") }
        if answer.status == 200, executions == 0 { add("call \(call.number) succeeded and was not executed") }
        if answer.saysExecuted, executions == 0 { add("call \(call.number) was not executed, as the answer says") }
        if answer.status == 200, answer.isWhole, !answer.isUntilClose, call.method != .head,
            answer.received != call.answerCount
        {
            add("call \(call.number) got \(answer.received) bytes of \(call.answerCount), and no error")
        }
        guard plan.isCalm, isEnded else { return }
        if answer.status != 200 { add("call \(call.number) got \(answer.status), without a fault") }
        if let error = answer.bodyError { add("the body of call \(call.number) failed (\(error)), without a fault") }
    }

    private mutating func judge(
        _ code: String, _ progress: RequestProgress, of record: SimulationCallRecord, executions: Int
    ) {
        let call = record.call
        if plan.isCalm { add("call \(call.number) failed (\(code)), without a fault") }
        let isUnsent = progress == .neverSent || progress == .refused
        if isUnsent, executions > 0 { add("call \(call.number) was executed, and failed as \(progress.rawValue)") }
        if ["protocolViolation", "invalidRequest", "invalidURL", "responseLimitExceeded"].contains(code) {
            add("call \(call.number) failed with \(code), which nothing causes")
        }
        if let deadline = deadline(of: record), let ended = record.ended,
            deadline.duration(to: ended) > Self.lateness
        {
            add("call \(call.number) failed \(deadline.duration(to: ended)) after its deadline")
        }
    }

    private func deadline(of record: SimulationCallRecord) -> MonotonicInstant? {
        guard let began = record.began, let total = record.call.total ?? plan.timeouts.total else { return nil }
        return began.advanced(by: total)
    }

    // MARK: Attempts

    /// The retries that a host's budget allows: in each window, a share of the requests and so many per second.
    ///
    /// A retry of which nothing was sent returns to the budget.
    private mutating func judgeBudget() {
        guard let budget = plan.retry.budget else { return }
        let sent = Set(
            record.steps.compactMap { _, step -> [Int]? in
                if case .headSent(let call, let hop, let attempt) = step { [call, hop, attempt] } else { nil }
            })
        for host in plan.hosts.indices {
            var ledger = BudgetLedger(budget)
            for (at, step) in record.steps {
                switch step {
                case .requested(let call, _) where hostOf(call) == host: ledger.requested(at: at)
                case .retryGranted(let call, let hop, let attempt) where hostOf(call) == host:
                    let counts = sent.contains([call, hop, attempt + 1])
                    guard let violation = ledger.granted(at: at, counts: counts) else { continue }
                    add("\(violation) of \(plan.hosts[host])")
                default: break
                }
            }
        }
    }

    private func hostOf(_ call: Int) -> Int? {
        plan.calls.indices.contains(call) ? plan.calls[call].host : nil
    }

    private mutating func judgeDrain() {
        var isDraining = false
        for (_, step) in record.steps {
            switch step {
            case .drainBegan: isDraining = true
            case .retryBegan(let call, _, let attempt) where isDraining:
                add("call \(call) began a retry after attempt \(attempt) while the client drained")
            default: break
            }
        }
    }

    private mutating func judgeDeadlines() {
        for (at, step) in record.steps {
            guard case .headSent(let number, _, _) = step, record.calls.indices.contains(number),
                let deadline = deadline(of: record.calls[number]), deadline.duration(to: at) > Self.lateness
            else { continue }
            add("call \(number) was sent \(deadline.duration(to: at)) after its deadline")
        }
    }

    // MARK: The end

    private mutating func judgeShutdown() {
        guard let shutdown = record.shutdown else { return }
        let cut = record.calls.count { record in
            switch record.told {
            case .failed(code: "forciblyClosed", _): true
            case .answered(let answer): answer.bodyError == "forciblyClosed"
            default: false
            }
        }
        for violation in shutdown.violations(cut: cut, lateness: Self.lateness) { add(violation) }
    }

    private mutating func judgeRemains() {
        for violation in record.remains.violations { add(violation) }
    }
}
