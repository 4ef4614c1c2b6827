internal import BowlineCore

/// Decides whether a request may be hedged, and how long its first attempt runs before that. Pure.
///
/// | a request is not hedged if | because |
/// |---|---|
/// | it is not idempotent | the service may act on both attempts |
/// | its body is a stream, or has trailers | two attempts cannot read a stream at once, and the closure of the trailers may depend on what one attempt has sent |
/// | it reports its upload's progress | two attempts would report at once |
/// | fewer than 100 attempts to its scope are known, with a delay by percentile | there is no delay |
/// | the delay would pass its deadline | the hedge could not help |
/// | the client drains | no new attempts begin |
struct HedgingPolicy {
    let options: HedgingOptions

    init(_ options: HedgingOptions) {
        self.options = options
    }

    /// Whether two attempts of the request may be in flight at once.
    static func allows(_ request: ServiceRequest) -> Bool {
        let body = request.body
        return request.isIdempotent && !body.isStream && body.makeTrailers == nil
            && request.ownOptions?.value.onUploadProgress == nil
    }

    /// The share of recent attempts that gives the delay; nil: the delay is fixed.
    var share: Double? {
        if case .percentile(let share, _) = options.delay { share } else { nil }
    }

    /// Returns how long an attempt runs before a hedge is sent; nil: no hedge is sent.
    ///
    /// - Parameters:
    ///   - percentile: The time within which ``share`` of the recent attempts has ended; nil: not known.
    ///   - remaining: The time until the call's deadline; nil: no deadline.
    func delay(percentile: Duration?, remaining: Duration?, isDraining: Bool) -> Duration? {
        guard !isDraining, options.maximumHedges > 0 else { return nil }
        let delay: Duration
        switch options.delay {
        case .after(let fixed): delay = fixed
        case .percentile(_, let least):
            guard let percentile else { return nil }
            delay = max(percentile, least)
        }
        // Middleware may set any value, and the value is not checked again.
        guard delay > .zero else { return nil }
        if let remaining, delay >= remaining { return nil }
        return delay
    }

    /// Describes how an attempt ended. `retry.shouldRetry` is not asked: it is asked once, about the outcome that counts.
    ///
    /// - Parameter wasSent: Whether the attempt reached the transport. False: middleware answered or refused it.
    static func ending(
        _ outcome: AttemptOutcome, _ retry: RetryPolicy, wasSent: Bool
    ) -> HedgingStateMachine.Ending {
        switch outcome {
        case .answered(let response, _): retry.isFailure(response.status) ? .retryable : .acceptable
        case .failed(let error, _): outcome.isRefusal ? .unadmitted : .failed(error.progress)
        case .ended: .ended(wasSent: wasSent)
        }
    }
}
