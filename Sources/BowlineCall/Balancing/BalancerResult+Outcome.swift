internal import BowlineCore

extension BalancerResult {
    /// Judges the outcome of an attempt that was sent.
    ///
    /// | outcome | result |
    /// |---|---|
    /// | a response, but not 500, 502, 503, 504 | success |
    /// | 500, 502, 503, 504 | failure |
    /// | a dial or a connection failed, or a limit passed in the dial or after it | failure |
    /// | the attempt was cancelled, or got no connection within `timeouts.poolAcquire` | unfinished |
    /// | an error of middleware, of the request or of the client itself; a shutdown | ignored |
    ///
    /// - Parameter elapsed: The time since the endpoint was chosen.
    // Inlined: an initialiser owns its arguments, so a call of it copies the outcome.
    @inline(__always)
    init(_ outcome: AttemptOutcome, elapsed: Duration) {
        switch outcome {
        case .answered(let response, _):
            let latency = Self.latency(of: response.timings) ?? elapsed
            switch response.status.code {
            case 500, 502, 503, 504: self = .failure(after: latency)
            default: self = .success(after: latency)
            }
        case .failed(let error, let isOwn):
            self = isOwn ? Self.judged(error, elapsed) : .ignored
        case .ended(let error):
            self = error is CancellationError ? .unfinished(after: elapsed) : .ignored
        }
    }

    /// The codes of failures that are the endpoint's.
    private static let failures: Set<ServiceError.Code> = [
        .nameResolutionFailed, .connectionRefused, .connectFailed, .connectTimeout, .proxyFailed, .tlsHandshakeFailed,
        .connectionClosed, .streamReset, .protocolViolation, .responseLimitExceeded, .incompleteBody,
        .responseHeadTimeout, .bodyIdleTimeout, .attemptTimeout,
    ]

    private static func judged(_ error: ServiceError, _ elapsed: Duration) -> BalancerResult {
        switch error.code {
        case .poolAcquireTimeout: .unfinished(after: elapsed)
        // The request's own deadline. It counts if the endpoint let it pass, not if the request waited here.
        case .deadlineExceeded:
            error.progress != .neverSent || error.phase == .connecting ? .failure(after: elapsed) : .ignored
        case let code: failures.contains(code) ? .failure(after: elapsed) : .ignored
        }
    }

    /// Returns the time from the lease of the connection to the response head. It leaves out the dial, because a dial
    /// says little about the next request. nil: the transport does not measure.
    private static func latency(of timings: PhaseTimings) -> Duration? {
        guard let leased = timings.leased, let head = timings.head else { return nil }
        return leased.duration(to: head)
    }
}
