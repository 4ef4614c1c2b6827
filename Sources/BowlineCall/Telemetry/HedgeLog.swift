internal import BowlineCore
internal import Logging

/// Logs hedges at `debug`. No value can be a secret, as in ``AttemptLog``.
struct HedgeLog {
    private let logger: Logger

    /// Makes the log of one attempt; nil: no line is wanted.
    ///
    /// - Parameter configured: The logger that gets the lines; nil: the calling task's logger.
    init?(_ configured: Logger?, _ request: ServiceRequest, _ context: RequestContext) {
        guard var logger = ClientLog.logger(for: configured), logger.logLevel <= .debug else { return nil }
        logger.describe(request, context)
        self.logger = logger
    }

    /// Logs that a hedge begins.
    func began(after delay: Duration) {
        logger.debug("hedge begins", metadata: ["bowline.hedge.delay": "\(delay.logText)"])
    }

    /// Logs that the retry budget refused a hedge.
    func refused() {
        logger.debug("no hedge: the origin's retry budget is empty")
    }

    /// Logs how an attempt with hedges has ended.
    ///
    /// - Parameters:
    ///   - winner: The number of the attempt whose outcome counts, 1 for the first.
    ///   - count: The number of attempts.
    func ended(winner: Int, of count: Int, isAnswered: Bool) {
        logger.debug(
            isAnswered ? "hedged attempt was answered" : "hedged attempt failed",
            metadata: ["bowline.hedge.winner": "\(winner)", "bowline.hedge.attempts": "\(count)"])
    }
}
