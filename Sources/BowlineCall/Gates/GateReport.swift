internal import BowlineCore

/// What an attempt's outcome says to the gates.
struct GateReport: Sendable {
    /// For the limit of concurrency.
    let load: Load
    /// For the breaker.
    let health: BreakerResult
    /// For the rate gate.
    let advice: RateAdvice

    /// The kinds of ``ConcurrencySample``, without the latency.
    enum Load: Sendable {
        case success, overload, timedOut, ignored

        func sample(latency: Duration) -> ConcurrencySample {
            switch self {
            case .success: .success(latency: latency)
            case .overload: .overload(latency: latency)
            case .timedOut: .timedOut(latency: latency)
            case .ignored: .ignored
            }
        }
    }

    /// The report of an attempt that says nothing about the service.
    static let nothing = GateReport(load: .ignored, health: .ignored, advice: RateAdvice())

    private init(load: Load, health: BreakerResult, advice: RateAdvice) {
        self.load = load
        self.health = health
        self.advice = advice
    }

    /// - Parameters:
    ///   - maximumPause: The request's `retry.maximumRetryAfter`, which limits every pause.
    ///   - wallClock: Seconds since 1970, to compare with a date in `Retry-After`.
    // Inlined: an initialiser owns its arguments, so a call of it counts a reference to each of them.
    @inline(__always)
    init(
        _ outcome: AttemptOutcome, _ settings: GateSettings, maximumPause: @autoclosure () -> Duration,
        wallClock: () -> Int64
    ) {
        switch outcome {
        case .answered(let response, _):
            let status = response.status.code
            advice =
                settings.rate == nil
                ? RateAdvice()
                : Self.advice(of: response, settings, maximumPause: maximumPause, wallClock: wallClock)
            (load, health) = Self.judgement(of: status)
        case .failed(let error, let isOwn):
            advice = RateAdvice()
            load = isOwn ? Self.load(of: error) : .ignored
            health = isOwn ? Self.health(of: error) : .ignored
        case .ended: self = .nothing
        }
    }

    // MARK: Responses

    /// A fast error says nothing about how long the service takes for its work, so only other responses are a success
    /// for the limit of concurrency.
    private static func judgement(of status: Int) -> (Load, BreakerResult) {
        switch status {
        case 429: (.overload, .success)
        case 503: (.overload, .failure)
        case 500, 502, 504: (.ignored, .failure)
        case 408, 501, 505...: (.ignored, .success)
        default: (.success, .success)
        }
    }

    private static func advice(
        of response: ServiceResponse, _ settings: GateSettings, maximumPause: () -> Duration,
        wallClock: () -> Int64
    ) -> RateAdvice {
        let fields = response.receivedFields
        if response.status.code == 429 || response.status.code == 503,
            let pause = RetryAfter.delay(asked: fields, wallClock: wallClock)
        {
            // `Retry-After` takes precedence over the quota's fields.
            return RateAdvice(pause: max(.zero, min(pause, maximumPause())))
        }
        guard settings.readsQuota else { return RateAdvice() }
        return RateLimitFields.advice(of: fields, maximumPause: maximumPause)
    }

    // MARK: Failures

    private static let dialFailures: Set<ServiceError.Code> = [
        .nameResolutionFailed, .connectionRefused, .connectFailed, .connectTimeout, .proxyFailed, .tlsHandshakeFailed,
    ]
    private static let timeouts: Set<ServiceError.Code> = [
        .connectTimeout, .responseHeadTimeout, .bodyIdleTimeout, .attemptTimeout,
    ]
    /// Failures after the request was sent that the service did not cause.
    private static let ownFailures: Set<ServiceError.Code> = [
        .requestBodyFailed, .requestBodyLengthMismatch, .requestBodyConsumed, .forciblyClosed, .invalidRequest,
        .authenticationFailed, .proxyAuthenticationRequired,
    ]

    private static func load(of error: ServiceError) -> Load {
        if timeouts.contains(error.code) { return .timedOut }
        // The call's own time has ended: a sign of load only if the attempt was waiting for the service.
        if error.code == .deadlineExceeded {
            return error.progress != .neverSent || error.phase == .connecting ? .timedOut : .ignored
        }
        // REFUSED_STREAM and GOAWAY have the code `connectionClosed`.
        let isRefused =
            error.code == .connectionRefused || error.progress == .refused && error.code == .connectionClosed
        return isRefused ? .overload : .ignored
    }

    private static func health(of error: ServiceError) -> BreakerResult {
        if dialFailures.contains(error.code) { return .failure }
        return error.progress == .neverSent || ownFailures.contains(error.code) ? .ignored : .failure
    }
}
