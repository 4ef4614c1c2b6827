internal import BowlineCore
internal import Logging

/// Logs retries: at `info` each retry and each call that succeeded only after a retry, at `warning` each retry that was
/// refused. Nothing there can be a secret, as in ``AttemptLog``.
struct RetryLog: Sendable {
    let logger: Logger?
    let refusals: RefusalLog

    /// - Parameters:
    ///   - context: The context of the failed attempt.
    ///   - attempts: The number of attempts so far; a second sending after a 401 or a 417 counts too.
    ///   - maximum: The largest number of attempts.
    func decided(
        _ verdict: RetryDecision.Verdict, _ request: ServiceRequest, cause: RetryDecision.Cause,
        _ context: RequestContext, attempts: Int, of maximum: Int, now: MonotonicInstant
    ) {
        var context = context
        context.attempt = max(context.attempt, attempts)
        switch verdict {
        case .retry(let delay):
            guard var logger = ClientLog.wanted(logger), logger.logLevel <= .info else { return }
            logger.describe(request, context)
            logger.info(
                "retrying: \(cause.text), attempt \(context.attempt &+ 1) of \(maximum), after \(delay.spoken)",
                metadata: ["bowline.retry.cause": "\(cause.text)", "bowline.retry.delay": "\(delay.spoken)"])
        case .giveUp(.budgetExhausted):
            warn("not retrying: the origin's retry budget is empty", request, cause, context, now)
        case .giveUp:
            guard cause == .error(.poolSaturated) else { return }
            warn("refused: too many requests wait for a connection (pool.maximumWaiting)", request, cause, context, now)
        }
    }

    func succeeded(_ response: ServiceResponse, _ request: ServiceRequest, _ context: RequestContext, retries: Int) {
        guard var logger = ClientLog.wanted(logger), logger.logLevel <= .info else { return }
        logger.describe(request, context)
        logger.info(
            "\(response.status.code < 400 ? "succeeded" : "answered") after \(retries) \(retries == 1 ? "retry" : "retries"): \(response.status.code)",
            metadata: ["http.response.status_code": "\(response.status.code)", "bowline.retry.count": "\(retries)"])
    }

    private func warn(
        _ text: String, _ request: ServiceRequest, _ cause: RetryDecision.Cause, _ context: RequestContext,
        _ now: MonotonicInstant
    ) {
        guard var logger = ClientLog.wanted(logger), logger.logLevel <= .warning else { return }
        guard let origin = request.origin, let unsaid = refusals.unsaid(text, of: origin, now: now) else { return }
        logger.describe(request, context)
        let others = unsaid == 0 ? "" : "; \(unsaid) more since the last line"
        logger.warning("\(text)\(others)", metadata: ["bowline.retry.cause": "\(cause.text)"])
    }
}

extension RetryDecision.Cause {
    /// `503`, or the error's code.
    fileprivate var text: String {
        switch self {
        case .status(let code): "\(code)"
        case .error(let code): code.rawValue
        }
    }
}

/// Bounds the lines about refused retries: a service that is down has thousands of calls refused in a second, and each line says
/// the same.
final class RefusalLog: Sendable {
    /// How far apart lines of the same text about an origin are.
    static let interval = Duration.seconds(10)
    /// How many are told apart; then all are forgotten.
    private static let maximumKept = 256

    private struct Key: Hashable {
        let text: String
        let origin: Origin
    }

    private let kept = Guarded<[Key: (said: MonotonicInstant, unsaid: Int)]>([:])

    /// How many are told apart now.
    var count: Int { kept.withLock { $0.count } }

    /// How many refusals have had no line since the last; nil: it is too early for a line, and this one is counted.
    func unsaid(_ text: String, of origin: Origin, now: MonotonicInstant) -> Int? {
        let key = Key(text: text, origin: origin)
        return kept.withLock { kept in
            if let last = kept[key], last.said.duration(to: now) < Self.interval {
                kept[key] = (last.said, last.unsaid + 1)
                return nil
            }
            if kept.count >= Self.maximumKept, kept[key] == nil { kept = [:] }
            let unsaid = kept[key]?.unsaid ?? 0
            kept[key] = (now, 0)
            return unsaid
        }
    }
}
