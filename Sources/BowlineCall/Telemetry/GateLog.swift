internal import BowlineCore
internal import Logging

/// Logs refusals by gates and changes of circuit breakers. The level is `warning` for a refusal and for a breaker that
/// opens, and `info` for its other changes. ``RefusalLog`` limits the number of lines about refusals. No value can be a
/// secret, as in ``AttemptLog``; the name of a scope is cut to 64 characters.
struct GateLog: Sendable {
    let logger: Logger?
    let refusals: RefusalLog

    func refused(_ refusal: GateRefusal, _ request: ServiceRequest, _ context: RequestContext, at now: MonotonicInstant)
    {
        guard var logger = ClientLog.logger(for: logger), logger.logLevel <= .warning else { return }
        let text = "refused by the \(refusal.gate.rawValue) gate: \(refusal.reason.rawValue)"
        guard let unsaid = refusals.unsaid(text, of: refusal.scope.origin, now: now) else { return }
        logger.describe(request, context)
        logger.describe(refusal.scope)
        logger[metadataKey: "bowline.gate"] = "\(refusal.gate.rawValue)"
        logger[metadataKey: "bowline.gate.reason"] = "\(refusal.reason.rawValue)"
        if let retryAfter = refusal.retryAfter {
            logger[metadataKey: "bowline.gate.retry_after"] = "\(retryAfter.logText)"
        }
        logger.warning("\(text)\(unsaid == 0 ? "" : "; \(unsaid) more since the last line")")
    }

    func changed(_ change: BreakerChange) {
        let level: Logger.Level = change.to == .open || change.to == .isolated ? .warning : .info
        guard var logger = ClientLog.logger(for: logger), logger.logLevel <= level else { return }
        logger[metadataKey: "server.address"] = "\(change.scope.origin)"
        logger.describe(change.scope)
        logger[metadataKey: "bowline.breaker.state"] = "\(change.to.rawValue)"
        let period = change.openFor.map { " for \($0.logText)" } ?? ""
        logger.log(level: level, "circuit breaker \(change.to.logText)\(period), was \(change.from.logText)")
    }
}

extension Logger {
    /// Adds the name of a scope, if it has one.
    fileprivate mutating func describe(_ scope: PolicyScope) {
        if let name = scope.boundedName { self[metadataKey: "bowline.scope"] = "\(name)" }
    }
}

extension PolicyScope {
    /// The name for telemetry: at most 64 characters, all of them printable ASCII. nil: the scope has no name.
    var boundedName: String? {
        guard let name else { return nil }
        var text = ""
        for scalar in name.unicodeScalars.prefix(64) {
            text.unicodeScalars.append((0x20..<0x7F).contains(scalar.value) ? scalar : "?")
        }
        return text
    }
}

extension BreakerState {
    fileprivate var logText: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half open"
        case .isolated: "isolated"
        }
    }
}
