package import BowlineCore
internal import Metrics

/// Measures each attempt until its response head is there, or it has failed: the time that its span takes.
package struct MetricsMiddleware: ServiceMiddleware {
    private let metrics: ClientMetrics
    private let clock: any ServiceClock

    package init(metrics: ClientMetrics, clock: any ServiceClock) {
        self.metrics = metrics
        self.clock = clock
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        let place = request.url.map { metrics.place($0.origin) } ?? .other
        let method = HTTPMethodName(request.method)
        let active = metrics.active[ActiveSeries(method: method, place: place)]
        active.increment()
        defer { active.decrement() }
        var series = RequestSeries(method: method, place: place)
        let started = clock.now
        defer { metrics.duration[series].recordNanoseconds(started.nanoseconds(to: clock.now)) }
        do {
            let response = try await next(request, context: context)
            series.status = response.status.code
            series.protocolVersion = response.connection?.protocolVersion
            return response
        } catch {
            // Cancellation is what the caller wanted, not an error.
            if !(error is CancellationError) { series.failure = FailureName(error) }
            throw error
        }
    }
}

extension MonotonicInstant {
    fileprivate func nanoseconds(to other: MonotonicInstant) -> Int64 {
        max(0, duration(to: other).saturatingNanoseconds)
    }
}
