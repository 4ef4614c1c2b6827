internal import BowlineCore
internal import Logging

/// Logs retries. The level is `info` for each retry and for each call that was answered after retries. It is `warning`
/// for a retry that the budget refused and for a request that a full pool refused; ``RefusalLog`` limits the number of
/// these lines. No value can be a secret, as in ``AttemptLog``.
struct RetryLog: Sendable {
    let logger: Logger?
    let refusals: RefusalLog

    /// Logs the decision after a failed attempt.
    ///
    ///
    /// - Parameters:
    ///   - context: The context of the failed attempt.
    ///   - attempts: The number of attempts so far; a second sending after a 401 or a 417 counts too.
    ///   - maximum: The maximum number of attempts.
    func decided(
        _ verdict: RetryDecision.Verdict, _ request: ServiceRequest, cause: RetryDecision.Cause,
        _ context: RequestContext, attempts: Int, of maximum: Int, now: MonotonicInstant
    ) {
        var context = context
        context.attempt = max(context.attempt, attempts)
        switch verdict {
        case .retry(let delay):
            guard var logger = ClientLog.logger(for: logger), logger.logLevel <= .info else { return }
            logger.describe(request, context)
            logger.info(
                "retrying: \(cause.text), attempt \(context.attempt &+ 1) of \(maximum), after \(delay.logText)",
                metadata: ["bowline.retry.cause": "\(cause.text)", "bowline.retry.delay": "\(delay.logText)"])
        case .giveUp(.budgetExhausted):
            warn("not retrying: the origin's retry budget is empty", request, cause, context, now)
        case .giveUp:
            guard cause == .error(.poolSaturated) else { return }
            warn("refused: too many requests wait for a connection (pool.maximumWaiting)", request, cause, context, now)
        }
    }

    func succeeded(_ response: ServiceResponse, _ request: ServiceRequest, _ context: RequestContext, retries: Int) {
        guard var logger = ClientLog.logger(for: logger), logger.logLevel <= .info else { return }
        logger.describe(request, context)
        logger.info(
            "\(response.status.code < 400 ? "succeeded" : "answered") after \(retries) \(retries == 1 ? "retry" : "retries"): \(response.status.code)",
            metadata: ["http.response.status_code": "\(response.status.code)", "bowline.retry.count": "\(retries)"])
    }

    private func warn(
        _ text: String, _ request: ServiceRequest, _ cause: RetryDecision.Cause, _ context: RequestContext,
        _ now: MonotonicInstant
    ) {
        guard var logger = ClientLog.logger(for: logger), logger.logLevel <= .warning else { return }
        guard let origin = request.origin, let unsaid = refusals.unsaid(text, of: origin, now: now) else { return }
        logger.describe(request, context)
        let others = unsaid == 0 ? "" : "; \(unsaid) more since the last line"
        logger.warning("\(text)\(others)", metadata: ["bowline.retry.cause": "\(cause.text)"])
    }
}

extension RetryDecision.Cause {
    /// The status code, for example `503`, or the error's code.
    fileprivate var text: String {
        switch self {
        case .status(let code): "\(code)"
        case .error(let code): code.rawValue
        }
    }
}

/// Limits the log lines about refused retries and refused requests. When a service is down, thousands of calls may be
/// refused in a second, with the same line for each.
final class RefusalLog: Sendable {
    /// The shortest time between two lines with the same text about the same origin.
    static let interval = Duration.seconds(10)
    /// The maximum number of pairs of text and origin. At this number all are removed.
    private static let maximumKept = 256

    private struct Key: Hashable {
        let text: String
        let origin: Origin
    }

    private let kept = Guarded<[Key: (said: MonotonicInstant, unsaid: Int)]>([:])

    /// The number of pairs of text and origin that are kept now.
    var count: Int { kept.withLock { $0.count } }

    /// Counts a refusal. If a line may be logged now, returns how many refusals were not logged since the last line.
    /// nil: it is too early for another line.
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
