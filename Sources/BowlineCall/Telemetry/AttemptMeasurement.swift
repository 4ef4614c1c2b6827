internal import BowlineCore
internal import Metrics

/// Measures one attempt, from its start until its response head has arrived or the attempt has failed. The attempt's
/// span covers the same time.
struct AttemptMeasurement {
    private let metrics: ClientMetrics
    private let clock: any ServiceClock
    private let active: Meter
    private let started: MonotonicInstant
    private var series: RequestSeries

    /// Begins the measurement of an attempt.
    init(_ request: ServiceRequest, metrics: ClientMetrics, clock: any ServiceClock) {
        self.metrics = metrics
        self.clock = clock
        let place = request.url.map { metrics.place($0.origin) } ?? .other
        let method = HTTPMethodName(request.method)
        active = metrics.active[ActiveSeries(method: method, place: place)]
        active.increment()
        series = RequestSeries(method: method, place: place)
        started = clock.now
    }

    /// Ends the measurement with the attempt's outcome.
    func end(_ outcome: AttemptOutcome) {
        var series = series
        switch outcome {
        case .answered(let response, _):
            series.status = response.status.code
            series.protocolVersion = response.connection?.protocolVersion
        case .failed(let error, _): series.failure = FailureName(error)
        // The caller wanted the cancellation: it is not an error.
        case .ended(let error): if !(error is CancellationError) { series.failure = FailureName(error) }
        }
        metrics.duration[series].recordNanoseconds(started.nanoseconds(to: clock.now))
        active.decrement()
    }
}

extension MonotonicInstant {
    fileprivate func nanoseconds(to other: MonotonicInstant) -> Int64 {
        max(0, duration(to: other).saturatingNanoseconds)
    }
}
