internal import Bowline

/// Compares the record of a simulation with what the client promises about its calls. The verdict depends only on the
/// record: what the service saw, what the callers got, and the client's events.
///
/// ``PoliciesGateJudge`` compares the attempts with the promises of the gates.
struct PoliciesJudge: Sendable {
    private static let limit = 20
    private static let gates: [String: ServiceGate] = [
        ServiceError.Code.rateLimited.rawValue: .rate, ServiceError.Code.concurrencyLimited.rawValue: .concurrency,
        ServiceError.Code.circuitOpen.rawValue: .breaker,
    ]
    /// The codes of the errors that a plan can cause.
    private static let codes: Set<ServiceError.Code> = [
        .shuttingDown, .forciblyClosed, .connectionRefused, .connectTimeout, .connectionClosed, .streamReset,
        .responseHeadTimeout, .bodyIdleTimeout, .attemptTimeout, .deadlineExceeded, .incompleteBody,
        .tooManyRedirects, .redirectRefused, .authenticationFailed, .rateLimited, .concurrencyLimited, .circuitOpen,
        .noEndpoint,
    ]
    /// The codes of the errors of bodies. A retry that a drain ends may have discarded the body of its last response.
    private static let bodyCodes: Set<ServiceError.Code> = [
        .forciblyClosed, .bodyIdleTimeout, .deadlineExceeded, .incompleteBody, .bodyAlreadyConsumed,
    ]

    /// The violated rules; empty if there are none.
    private(set) var violations: [String] = []
    private let record: PoliciesRecord
    private let drained: MonotonicInstant?
    private var plan: PoliciesPlan { record.plan }

    init(_ record: PoliciesRecord) {
        self.record = record
        drained = record.steps.first { if case .drainBegan = $0.step { true } else { false } }?.at
        for call in record.calls { judge(call) }
        judgeOrder()
        judgeRetries()
        judgeBudgets()
        for violation in PoliciesGateJudge(record).violations { add(violation) }
        judgeEnd()
    }

    private mutating func add(_ violation: String) {
        if violations.count < Self.limit { violations.append(violation) }
    }

    // MARK: Calls

    private mutating func judge(_ record: PoliciesCallRecord) {
        let call = record.call
        let arrivals = self.record.arrivals.filter { $0.call == call.number }
        guard record.endings == 1, let told = record.told, let ended = record.ended else {
            return add("call \(call.number) has ended \(record.endings) times")
        }
        let executed = arrivals.count { $0.isExecuted && $0.method == .post }
        if executed > 1, !call.mayRepeat { add("POST \(call.number) was executed \(executed) times") }
        judgeTime(record, ended)
        judgeTokens(arrivals)
        switch told {
        case .answered(let answer): judge(answer, of: call, arrivals)
        case .failed(let failure), .fellBack(let failure): judge(failure, of: call, arrivals)
        case .cancelled:
            if record.cancelled == nil { add("call \(call.number) was cancelled, and nothing cancelled it") }
        case .other(let text): add("call \(call.number) failed with \(text)")
        }
    }

    private mutating func judgeTime(_ record: PoliciesCallRecord, _ ended: MonotonicInstant) {
        let number = record.call.number
        if let cancelled = record.cancelled, cancelled < ended {
            add("call \(number) ended \(cancelled.duration(to: ended)) after it was cancelled")
        }
        if let deadline = deadline(of: record) {
            if deadline < ended { add("call \(number) ended \(deadline.duration(to: ended)) after its deadline") }
            for arrival in self.record.arrivals where arrival.call == number && deadline < arrival.sent {
                add("call \(number) was sent \(deadline.duration(to: arrival.sent)) after its deadline")
            }
        }
        if let drained, let limit = plan.shutdown?.limit, let began = record.began {
            // A call that begins after the drain is refused at once.
            let end = max(began, drained.advanced(by: limit))
            if end < ended { add("call \(number) ended \(end.duration(to: ended)) after the drain's limit") }
        }
    }

    private func deadline(of record: PoliciesCallRecord) -> MonotonicInstant? {
        guard let began = record.began, let limit = record.call.limit(plan.timeouts.total) else { return nil }
        return began.advanced(by: limit)
    }

    /// Tokens are for the base URL only, and not for hops after another origin.
    private mutating func judgeTokens(_ arrivals: [PoliciesArrival]) {
        for arrival in arrivals where arrival.hasToken {
            let hops = arrivals.filter { $0.hop <= arrival.hop }
            guard hops.contains(where: { $0.named != plan.hosts[0] }) else { continue }
            add("call \(arrival.call) took a token to hop \(arrival.hop) at \(arrival.server)")
        }
    }

    private mutating func judge(_ answer: PoliciesAnswer, of call: PoliciesCall, _ arrivals: [PoliciesArrival]) {
        if answer.number != call.number { add("call \(call.number) got the answer of \(answer.number ?? -1)") }
        if answer.status == 200, !arrivals.contains(where: \.isExecuted) {
            add("call \(call.number) succeeded and was not executed")
        }
        if answer.requestsSent != arrivals.count {
            add("call \(call.number) says that \(answer.requestsSent) requests were sent, not \(arrivals.count)")
        }
        if let code = answer.bodyError, !Self.bodyCodes.contains(ServiceError.Code(rawValue: code)) {
            add("the body of call \(call.number) failed with \(code), which nothing causes")
        }
    }

    // MARK: Errors

    private mutating func judge(_ failure: PoliciesFailure, of call: PoliciesCall, _ arrivals: [PoliciesArrival]) {
        let text = "call \(call.number) failed with \(failure.code) \(failure.progress.rawValue)"
        let wasSeen = arrivals.contains(where: \.isReceived)
        if failure.progress == .neverSent, wasSeen { add("\(text), and the service has seen it") }
        if failure.progress == .refused, arrivals.contains(where: \.isExecuted) { add("\(text), and was executed") }
        if failure.requestsSent != arrivals.count {
            add("\(text) after \(failure.requestsSent) requests, and \(arrivals.count) were sent")
        }
        if !isExplained(failure) { add("\(text), which nothing causes") }
        judgeRefusal(failure, of: call, arrivals, text)
    }

    /// Whether the plan can cause the error.
    private func isExplained(_ failure: PoliciesFailure) -> Bool {
        let code = ServiceError.Code(rawValue: failure.code)
        switch code {
        case .shuttingDown, .forciblyClosed: return drained != nil
        case .authenticationFailed: return plan.tokens != nil
        case .noEndpoint: return plan.endpoints != nil
        case .rateLimited: return plan.resilience.rate != nil || plan.resilience.sharesRetryAfter
        case .concurrencyLimited: return plan.resilience.concurrency != nil
        case .circuitOpen: return plan.resilience.breaker != nil
        default: return Self.codes.contains(code)
        }
    }

    private mutating func judgeRefusal(
        _ failure: PoliciesFailure, of call: PoliciesCall, _ arrivals: [PoliciesArrival], _ text: String
    ) {
        let gate = Self.gates[failure.code]
        guard let refusal = failure.refusal else {
            if gate != nil { add("\(text), and does not say which gate refused it") }
            return
        }
        if refusal.gate != gate { add("\(text), and names the gate \(refusal.gate.rawValue)") }
        if refusal.scope.name != call.scope || !plan.hosts.contains(refusal.scope.origin.host) {
            add("\(text), and names the scope \(refusal.scope)")
        }
        if failure.retryAfter != refusal.retryAfter { add("\(text), and says two times to come back") }
        if arrivals.isEmpty, failure.progress != .neverSent { add("\(text), and nothing was sent") }
        let saysWhen = failure.retryAfter.map { $0 > .zero } ?? false
        // Only a store of tokens does not know when the next token is free.
        if refusal.gate == .rate, plan.store != nil { return }
        switch (refusal.gate, refusal.reason) {
        case (.breaker, .open), (.rate, .waitTooLong), (.rate, .closedByService), (.rate, .deadline):
            if !saysWhen { add("\(text) \(refusal.reason.rawValue), and does not say when to come back") }
        case (_, .isolated), (_, .draining):
            if saysWhen { add("\(text) \(refusal.reason.rawValue), and says when to come back") }
        default: break
        }
    }

    // MARK: The drain

    private mutating func judgeOrder() {
        var isDraining = false
        for moment in record.steps {
            switch moment.step {
            case .drainBegan: isDraining = true
            case .callBegan(let number) where isDraining: judgeLate(number)
            case .retryBegan(let call, _, let attempt) where isDraining:
                add("call \(call) began a retry after attempt \(attempt) while the client drained")
            case .hedgeBegan(_, let call, _, let attempt, _) where isDraining:
                add("call \(call) began a hedge of attempt \(attempt) while the client drained")
            case .attemptBegan(let call, _, let attempt, let isHedge) where attempt > 1 || isHedge:
                // An attempt that has passed the gates may wait for the first list of endpoints, as for a connection.
                guard plan.endpoints?.lists.isEmpty ?? true, let drained, drained < moment.at else { continue }
                add("attempt \(attempt) of call \(call) passed the gates while the client drained")
            case .sent(let place) where plan.sendsAtOnce && record.arrivals.indices.contains(place):
                let arrival = record.arrivals[place]
                guard arrival.attempt > 1 || arrival.isHedge, let drained, drained < moment.at else { continue }
                add("attempt \(arrival.attempt) of call \(arrival.call) was sent while the client drained")
            default: break
            }
        }
    }

    /// Judges a call that began after the drain.
    private mutating func judgeLate(_ number: Int) {
        guard record.calls.indices.contains(number) else { return }
        switch record.calls[number].told {
        case .failed(let failure) where failure.code == ServiceError.Code.shuttingDown.rawValue: break
        case .fellBack(let failure) where failure.code == ServiceError.Code.shuttingDown.rawValue: break
        default: add("call \(number) began while the client drained, and was not refused")
        }
    }

    // MARK: Retries

    /// Each attempt beyond the first of its hop is a retry, a hedge, or follows a 401. There are not too many of them.
    private mutating func judgeRetries() {
        var retries: [[Int]: Int] = [:]
        var hedges: [[Int]: Int] = [:]
        for moment in record.steps {
            switch moment.step {
            case .retryBegan(let call, let hop, _): retries[[call, hop], default: 0] += 1
            case .hedgeBegan(_, let call, let hop, let attempt, _): hedges[[call, hop, attempt], default: 0] += 1
            default: break
            }
        }
        for (key, arrivals) in Dictionary(grouping: record.arrivals, by: { [$0.call, $0.hop] }).sorted(by: {
            $0.key.lexicographicallyPrecedes($1.key)
        }) {
            let hedged = hedges.reduce(0) { $1.key.starts(with: key) ? $0 + $1.value : $0 }
            let refused = arrivals.count { $0.status == 401 }
            let granted = 1 + retries[key, default: 0] + hedged + refused
            if arrivals.count > granted {
                add("hop \(key[1]) of call \(key[0]) was sent \(arrivals.count) times, and \(granted) are granted")
            }
            if key[1] > plan.redirects { add("call \(key[0]) followed \(key[1]) redirects") }
        }
        for record in record.calls {
            let most = plan.maximumAttempts(of: record.call) - 1
            let count = retries.filter { $0.key[0] == record.call.number }.map(\.value).max() ?? 0
            if count > most { add("call \(record.call.number) made \(count) retries of a hop, more than \(most)") }
            let hedged = hedges.filter { $0.key[0] == record.call.number }.map(\.value).max() ?? 0
            let allowed = plan.maximumHedges(of: record.call)
            if hedged > allowed { add("call \(record.call.number) made \(hedged) hedges, more than \(allowed)") }
        }
    }

    /// A retry or a hedge of which nothing was sent returns to the budget.
    private mutating func judgeBudgets() {
        guard let budget = plan.retry.budget else { return }
        var returned: Set<[Int]> = []
        for moment in record.steps {
            guard case .hedgeRefused(let call, let hop, let attempt, let hedge) = moment.step else { continue }
            returned.insert([call, hop, attempt, hedge])
        }
        var lastSent: [[Int]: Int] = [:]
        /// How many hedges of an attempt were sent. Those that began first are assumed to be these.
        var hedged: [[Int]: Int] = [:]
        for arrival in record.arrivals {
            if arrival.isHedge {
                hedged[[arrival.call, arrival.hop, arrival.attempt], default: 0] += 1
            } else {
                let last = lastSent[[arrival.call, arrival.hop]] ?? 0
                lastSent[[arrival.call, arrival.hop]] = max(last, arrival.attempt)
            }
        }
        var ledgers: [String: BudgetLedger] = [:]
        for moment in record.steps {
            var violation: String?
            switch moment.step {
            case .callBegan(let number) where plan.isBudgeted(plan.calls[number]):
                ledgers[plan.hosts[plan.calls[number].host], default: BudgetLedger(budget)].requested(at: moment.at)
            case .left(let place):
                guard let host = record.arrivals[place].leadsTo else { continue }
                ledgers[host, default: BudgetLedger(budget)].requested(at: moment.at)
            case .retryGranted(let host, let call, let hop, let attempt, false):
                violation = ledgers[host, default: BudgetLedger(budget)]
                    .granted(at: moment.at, counts: lastSent[[call, hop]] ?? 0 > attempt)
            case .hedgeBegan(let host, let call, let hop, let attempt, let hedge):
                let isSent =
                    hedged[[call, hop, attempt], default: 0] > 0 && !returned.contains([call, hop, attempt, hedge])
                if isSent { hedged[[call, hop, attempt], default: 0] -= 1 }
                violation = ledgers[host, default: BudgetLedger(budget)].granted(at: moment.at, counts: isSent)
            default: break
            }
            if let violation { add(violation) }
        }
    }

    // MARK: The end

    private mutating func judgeEnd() {
        for count in record.counts where count.count != 0 { add("at the end: \(count.count) \(count.what)") }
        if let shutdown = record.shutdown {
            let cut = record.calls.count { record in
                switch record.told {
                case .failed(let failure), .fellBack(let failure):
                    failure.code == ServiceError.Code.forciblyClosed.rawValue
                case .answered(let answer): answer.bodyError == ServiceError.Code.forciblyClosed.rawValue
                default: false
                }
            }
            for violation in shutdown.violations(cut: cut, lateness: .zero) { add(violation) }
        }
        for violation in record.remains.violations { add(violation) }
    }
}

extension PoliciesPlan {
    /// Whether an attempt is sent in the same instant in which the gates admit it. Otherwise it may wait for a token or
    /// an endpoint.
    var sendsAtOnce: Bool {
        let tokensTakeTime = tokens.map { $0.delay > .zero || $0.failureChance > 0 } ?? false
        return !tokensTakeTime && endpoints?.lists.isEmpty ?? true
    }

    func maximumAttempts(of call: PoliciesCall) -> Int {
        call.maximumAttempts ?? (call.maker == .withoutRetries ? 1 : retry.maximumAttempts)
    }

    /// The most hedges of an attempt.
    func maximumHedges(of call: PoliciesCall) -> Int {
        let isHedged = call.maker != .withoutPolicies && !call.isWithoutHedges
        return isHedged ? resilience.hedging?.maximumHedges ?? 0 : 0
    }

    /// Whether the call counts in the budget of its host.
    func isBudgeted(_ call: PoliciesCall) -> Bool {
        maximumAttempts(of: call) > 1 || maximumHedges(of: call) > 0
    }
}
