internal import Bowline

/// Compares the outcomes that the client program saw with the requests that the service executed.
///
/// The verdict depends only on the record of an episode.
struct LedgerJudge {
    /// How much later than its deadline, its cancellation or the end of a shutdown a call may end, in nanoseconds.
    static let grace: Int64 = 250_000_000
    /// Fields that the client may add to a request. The judge checks the value of a field that has only one correct
    /// value.
    private static let automatic: Set<String> = [
        "host", "user-agent", "content-length", "transfer-encoding", "accept-encoding", "expect", "connection",
        "idempotency-key",
    ]
    /// The error codes with which no call may fail: every request is valid, and no path or service of a ledger changes
    /// the bytes that a client reads. There is one exception. If a path ends a connection before the HTTP/2 settings
    /// arrive, the client reports a `protocolViolation` with the progress `neverSent`.
    private static let impossibleCodes: Set<String> = [
        "authenticationFailed", "bodyAlreadyConsumed", "bodyTooLarge", "decodingFailed", "decompressionFailed",
        "decompressionLimitExceeded", "encodingFailed", "fileFailed", "invalidConfiguration", "invalidRequest",
        "invalidURL", "nameResolutionFailed", "protocolViolation", "proxyAuthenticationRequired", "redirectRefused",
        "requestBodyLengthMismatch", "tooManyRedirects", "unexpectedStatus", "unsupported",
    ]

    private let record: LedgerRecord
    private let executions: [UInt64: [LedgerExecution]]
    private let grace: Int64
    private var violations: [LedgerViolation] = []

    /// All violations of the rules in the record, in a stable order.
    static func violations(of record: LedgerRecord, grace: Int64 = grace) -> [LedgerViolation] {
        var judge = LedgerJudge(record, grace: grace)
        judge.judge()
        return judge.violations
    }

    private init(_ record: LedgerRecord, grace: Int64) {
        self.record = record
        self.grace = grace
        var executions: [UInt64: [LedgerExecution]] = [:]
        for execution in record.executions {
            if let id = execution.id { executions[id, default: []].append(execution) }
        }
        self.executions = executions
    }

    private mutating func judge() {
        let known = Set(record.calls.map(\.sent.id))
        for execution in record.executions {
            guard execution.id.map({ known.contains($0) }) != true else { continue }
            add(.unknownExecution, execution.id, "\(execution.method) \(execution.target.prefix(60))")
        }
        for call in record.calls {
            judgeOutcome(call)
            judgeCount(call)
            judgeTime(call)
            for execution in executions[call.sent.id] ?? [] { judge(execution, of: call.sent) }
        }
        judgeKeys()
        judgeRemains()
        for text in record.malformed { add(.malformedRequest, nil, text) }
        for text in record.brokenRules { add(.brokenRule, nil, text) }
    }

    private mutating func add(_ rule: LedgerRule, _ id: UInt64?, _ text: String) {
        violations.append(LedgerViolation(rule, id, text))
    }

    private mutating func judgeOutcome(_ call: LedgerCall) {
        let id = call.sent.id
        switch call.told {
        case .answered(let answer): judge(answer, to: call.sent)
        case .failed(let code, let progress, let text):
            if record.isCalm { add(.calmFailure, id, text.isEmpty ? code : text) }
            if Self.impossibleCodes.contains(code), code != "protocolViolation" || progress != .neverSent {
                add(.unexpectedError, id, text.isEmpty ? code : text)
            }
        case .cancelled:
            if call.cancelledAt == nil { add(.strayCancellation, id, "the program did not cancel it") }
        case .other(let text): add(.unexpectedError, id, text)
        case .nothing: add(.notEnded, id, "\(call.sent.method) \(call.sent.target.prefix(60))")
        }
    }

    private mutating func judge(_ answer: LedgerAnswer, to sent: LedgerSent) {
        let proxy = record.route.proxy?.proxy.description
        if answer.proxy != proxy {
            add(.routeDiffers, sent.id, "\(answer.proxy ?? "no proxy") instead of \(proxy ?? "no proxy")")
        }
        if isOfProxy(answer) {
            if record.isCalm { add(.calmFailure, sent.id, "status \(answer.status) of the proxy") }
            return
        }
        guard answer.id == sent.id else {
            let other = answer.id.map { LedgerContent.text(of: $0) } ?? "none"
            add(.foreignAnswer, sent.id, "status \(answer.status), of request \(other)")
            return
        }
        let wanted = answer.saysExecuted ? sent.answer : sent.rejection
        if answer.body != wanted || answer.saysExecuted != (answer.status == 200) {
            add(.wrongAnswer, sent.id, "status \(answer.status), \(answer.body) instead of \(wanted)")
        }
        if !answer.hasItsFields {
            add(.wrongAnswer, sent.id, "status \(answer.status), its large fields are not as sent")
        }
        if record.isCalm, answer.status != 200 { add(.calmFailure, sent.id, "status \(answer.status)") }
    }

    /// Whether the proxy answered in place of the service. Such an answer does not show whether the service executed
    /// the request: the proxy also answers when the connection to the service ends within a response head.
    private func isOfProxy(_ answer: LedgerAnswer) -> Bool {
        record.route.isForwarded && answer.id == nil && !answer.saysExecuted && (500...599).contains(answer.status)
    }

    private mutating func judgeCount(_ call: LedgerCall) {
        let sent = call.sent
        let all = executions[sent.id] ?? []
        let count = all.count(where: { !$0.isReplay })
        if sent.isOnce, count > 1 { add(.executedTwice, sent.id, "\(sent.method), \(count) times") }
        if let requestsSent = call.requestsSent, all.count > requestsSent {
            add(.moreThanSent, sent.id, "\(all.count) times, and the client says that it sent \(requestsSent)")
        }
        switch call.told {
        case .answered(let answer):
            if answer.saysExecuted, count == 0 { add(.answeredNotExecuted, sent.id, "\(sent.method)") }
            if !answer.saysExecuted, !isOfProxy(answer), sent.isOnce, !sent.isKeyed, count > 0 {
                add(.executedRejected, sent.id, "\(sent.method), answered with \(answer.status)")
            }
        case .failed(let code, .neverSent, _) where !all.isEmpty:
            add(.executedNeverSent, sent.id, "\(sent.method), \(code), \(all.count) times")
        case .failed(let code, .refused, _) where !all.isEmpty:
            add(.executedRefused, sent.id, "\(sent.method), \(code), \(all.count) times")
        case .failed, .cancelled, .other, .nothing: break
        }
    }

    private mutating func judge(_ execution: LedgerExecution, of sent: LedgerSent) {
        if execution.method != sent.method {
            add(.methodDiffers, sent.id, "\(execution.method) instead of \(sent.method)")
        }
        if execution.target != sent.target {
            add(.targetDiffers, sent.id, "\(execution.target.prefix(80)) instead of \(sent.target.prefix(80))")
        }
        if execution.authority != record.authority {
            add(.targetDiffers, sent.id, "authority \(execution.authority ?? "none") instead of \(record.authority)")
        }
        if execution.body != sent.body {
            add(.bodyDiffers, sent.id, "\(execution.body) instead of \(sent.body)")
        }
        if Self.byName(execution.trailers) != Self.byName(sent.trailers) {
            add(.trailersDiffer, sent.id, "\(execution.trailers) instead of \(sent.trailers)")
        }
        judgeFields(execution, of: sent)
    }

    private mutating func judgeFields(_ execution: LedgerExecution, of sent: LedgerSent) {
        let wanted = Self.byName(sent.fields)
        let found = Self.byName(execution.fields)
        for (name, values) in wanted.sorted(by: { $0.key < $1.key })
        where found[name] != values && !isShortened(found[name], from: values) {
            add(.fieldsDiffer, sent.id, "\(name): \(Self.short(found[name])) instead of \(Self.short(values))")
        }
        for (name, values) in found.sorted(by: { $0.key < $1.key }) where wanted[name] == nil {
            if name.hasPrefix("x-ledger-") {
                add(.foreignField, sent.id, "\(name): \(Self.short(values))")
            } else if !isAutomatic(name) || !isRight(name, values, of: execution, sent) {
                add(.fieldsDiffer, sent.id, "\(name): \(Self.short(values)) arrived, though the client did not send it")
            }
        }
        // RFC 9110 §7.6.3: a proxy must add the field. Without it, the request did not go through the proxy.
        if record.route.isForwarded, found["via"] == nil {
            add(.routeDiffers, sent.id, "no Via, though an HTTP proxy forwards the requests")
        }
    }

    /// Whether a forwarding proxy dropped values. Of several fields with one name, tinyproxy forwards only the first.
    private func isShortened(_ found: [String]?, from values: [String]) -> Bool {
        record.route.isForwarded && found == Array(values.prefix(1))
    }

    /// Whether the client may add the field, or the proxy that forwards the request.
    private func isAutomatic(_ name: String) -> Bool {
        Self.automatic.contains(name) || name == "via" && record.route.isForwarded
    }

    /// Whether an automatic field has an allowed value.
    private func isRight(
        _ name: String, _ values: [String], of execution: LedgerExecution, _ sent: LedgerSent
    ) -> Bool {
        guard values.count == 1 else { return false }
        return switch name {
        case "host": values[0] == record.authority
        case "content-length": values[0] == "\(sent.body.length)"
        case "transfer-encoding": values[0].lowercased() == "chunked"
        case "expect": values[0].lowercased() == "100-continue"
        case "connection": values[0].lowercased() == "close"
        case "idempotency-key": sent.isKeyed
        default: true
        }
    }

    /// The values of each name, in their order. Only the order of values with the same name has a meaning (RFC 9110
    /// §5.3).
    private static func byName(_ fields: [LedgerField]) -> [String: [String]] {
        fields.reduce(into: [:]) { $0[$1.name, default: []].append($1.value) }
    }

    private static func short(_ values: [String]?) -> String {
        guard let values else { return "nothing" }
        return values.map { "\"\($0.prefix(40))\"" }.joined(separator: ", ")
    }

    /// Checks that each request with a key has its own key, and the same key each time.
    private mutating func judgeKeys() {
        var owners: [String: UInt64] = [:]
        for call in record.calls where call.sent.isKeyed {
            let id = call.sent.id
            let keys = (executions[id] ?? []).map { execution in
                execution.fields.filter { $0.name == "idempotency-key" }.map(\.value)
            }
            guard let first = keys.first else { continue }
            guard first.count == 1, keys.allSatisfy({ $0 == first }) else {
                add(.keyDiffers, id, "not one key: \(Set(keys.flatMap { $0 }).count)")
                continue
            }
            if let other = owners.updateValue(id, forKey: first[0]), other != id {
                add(.keyDiffers, id, "the key of \(LedgerContent.text(of: other)) too")
            }
        }
    }

    private mutating func judgeTime(_ call: LedgerCall) {
        guard let endedAt = call.endedAt else { return }
        let limit = min(call.deadlineAt, call.cancelledAt ?? .max, shutdownLimit(of: call))
        guard limit < .max, endedAt - limit > grace else { return }
        let cause = limit == call.deadlineAt ? "deadline" : limit == call.cancelledAt ? "cancellation" : "shutdown"
        add(.late, call.sent.id, "\((endedAt - limit) / 1_000_000) ms after its \(cause)")
    }

    /// The time by which a shutdown ends a call. The client refuses a call that begins after the shutdown at once.
    private func shutdownLimit(of call: LedgerCall) -> Int64 {
        guard let shutdownAt = record.shutdownAt else { return .max }
        return max(shutdownAt, call.startedAt)
    }

    private mutating func judgeRemains() {
        let remains = record.remains
        if remains.pooled > 0 { add(.poolNotEmpty, nil, "\(remains.pooled) in the client's pools after its shutdown") }
        if remains.inFlight > 0 || !remains.isClosed {
            add(.callsLeft, nil, "\(remains.inFlight) in flight, closed: \(remains.isClosed)")
        }
        if remains.tasks > 0 { add(.tasksLeft, nil, "of \(remains.tasks) calls") }
        if remains.timers > 0 { add(.timersLeft, nil, "\(remains.timers) of the client") }
        if let before = remains.descriptorsBefore, let after = remains.descriptorsAfter, after > before {
            add(.descriptorsLeft, nil, "\(after) open, \(before) before")
        }
    }
}
