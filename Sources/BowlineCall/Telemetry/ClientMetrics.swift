internal import BowlineCore
internal import Metrics

/// A client's instruments. Each is made when it is first needed, and then kept. Their number is limited, however many
/// origins there are.
package final class ClientMetrics: Sendable {
    /// The maximum number of origins with an address of their own in the dimensions. Further origins share `_OTHER`.
    static let maximumPlaces = 100
    /// The maximum number of scopes with a name of their own in the dimensions. Further names share `_OTHER`.
    static let maximumScopeNames = 100
    /// The maximum number of series of each instrument. All further series share one series with the dimension
    /// `otel.metric.overflow`.
    static let maximumSeries = 2000

    private let places = Guarded<[Origin: ServerPlace]>([:])
    private let scopes = Guarded<[PolicyScope: ScopeSeries]>([:])
    let duration: InstrumentTable<RequestSeries, Timer>
    let active: InstrumentTable<ActiveSeries, Meter>
    let open: InstrumentTable<ConnectionSeries, Meter>
    let connectionDuration: InstrumentTable<ServerPlace, Timer>
    let queued: InstrumentTable<ServerPlace, Meter>
    let queueTime: InstrumentTable<ServerPlace, Timer>
    let resends: InstrumentTable<ServerPlace, Counter>
    let retries: InstrumentTable<RetrySeries, Counter>
    let budget: InstrumentTable<ServerPlace, Meter>
    let hedges: InstrumentTable<HedgeSeries, Counter>
    let fallbacks: InstrumentTable<FallbackSeries, Counter>
    let gateRefusals: InstrumentTable<RefusalSeries, Counter>
    let gateWaits: InstrumentTable<GateSeries, Timer>
    let concurrencyLimit: InstrumentTable<ScopeSeries, Meter>
    let breakerState: InstrumentTable<ScopeSeries, Meter>
    let breakerChanges: InstrumentTable<BreakerSeries, Counter>

    /// Uses the metrics backend of the calling task, or else of the process; nil: none is installed now.
    package init?() {
        let factory = MetricsSystem.factory
        guard !(factory is NOOPMetricsHandler) else { return nil }
        func timers<Series: MetricSeries>(_ label: String) -> InstrumentTable<Series, Timer> {
            InstrumentTable { Timer(label: label, dimensions: $0, preferredDisplayUnit: .seconds, factory: factory) }
        }
        func meters<Series: MetricSeries>(_ label: String) -> InstrumentTable<Series, Meter> {
            InstrumentTable { Meter(label: label, dimensions: $0, factory: factory) }
        }
        func counters<Series: MetricSeries>(_ label: String) -> InstrumentTable<Series, Counter> {
            InstrumentTable { Counter(label: label, dimensions: $0, factory: factory) }
        }
        duration = timers("http.client.request.duration")
        active = meters("http.client.active_requests")
        open = meters("http.client.open_connections")
        connectionDuration = timers("http.client.connection.duration")
        queued = meters("bowline.client.queued_requests")
        queueTime = timers("bowline.client.queue.duration")
        resends = counters("bowline.client.resends")
        retries = counters("bowline.client.retries")
        budget = meters("bowline.client.retry.budget")
        hedges = counters("bowline.client.hedges")
        fallbacks = counters("bowline.client.fallbacks")
        gateRefusals = counters("bowline.client.gate.refusals")
        gateWaits = timers("bowline.client.gate.wait.duration")
        concurrencyLimit = meters("bowline.client.concurrency.limit")
        breakerState = meters("bowline.client.breaker.state")
        breakerChanges = counters("bowline.client.breaker.changes")
    }

    /// Returns the address and port of `origin` for dimensions. For an origin beyond ``maximumPlaces``, returns
    /// ``ServerPlace/other``.
    func place(_ origin: Origin) -> ServerPlace {
        places.withLock { places in
            if let place = places[origin] { return place }
            guard places.count < Self.maximumPlaces else { return .other }
            let place = ServerPlace(origin)
            places[origin] = place
            return place
        }
    }

    /// Counts a hedge.
    func count(_ outcome: HedgeSeries.Outcome, to origin: Origin?) {
        hedges[HedgeSeries(place: origin.map { place($0) } ?? .other, outcome: outcome)].increment()
    }

    /// Counts a call that failed and was answered by its fallback.
    func countFallback(after error: ServiceError, to origin: Origin?) {
        fallbacks[FallbackSeries(place: origin.map { place($0) } ?? .other, failure: FailureName(error))].increment()
    }

    /// Measures the limit of concurrency of a scope.
    func limitChanged(to limit: Int, of scope: PolicyScope) {
        concurrencyLimit[self.scope(scope)].set(limit)
    }

    /// Measures how long an attempt waited for a gate.
    func gateWaited(_ gate: ServiceGate, of scope: PolicyScope, _ waited: Duration) {
        gateWaits[GateSeries(scope: self.scope(scope), gate: gate)].recordNanoseconds(waited.saturatingNanoseconds)
    }

    /// Returns the place and the name of a scope for dimensions. A name beyond ``maximumScopeNames`` becomes `_OTHER`.
    func scope(_ scope: PolicyScope) -> ScopeSeries {
        let place = place(scope.origin)
        guard let name = scope.boundedName else { return ScopeSeries(place: place, name: nil) }
        return scopes.withLock { scopes in
            if let known = scopes[scope] { return known }
            guard scopes.count < Self.maximumScopeNames else { return ScopeSeries(place: place, name: "_OTHER") }
            let series = ScopeSeries(place: place, name: name)
            scopes[scope] = series
            return series
        }
    }
}

/// The instruments of one name, one for each set of dimensions.
final class InstrumentTable<Series: MetricSeries, Instrument: AnyObject & Sendable>: Sendable {
    private struct Made {
        var instruments: [Series: Instrument] = [:]
        /// The instrument for all series beyond the maximum; nil until it is needed.
        var overflow: Instrument?

        func instrument(for series: Series) -> Instrument? {
            instruments[series] ?? (isFull ? overflow : nil)
        }

        var isFull: Bool { instruments.count >= ClientMetrics.maximumSeries }
    }

    private let made = Guarded(Made())
    private let make: @Sendable ([(String, String)]) -> Instrument

    init(_ make: @escaping @Sendable ([(String, String)]) -> Instrument) {
        self.make = make
    }

    subscript(_ series: Series) -> Instrument {
        let (known, isFull) = made.withLock { ($0.instrument(for: series), $0.isFull) }
        if let known { return known }
        // The backend's code runs outside the lock. If two threads make the same instrument, the first instrument is
        // kept.
        let instrument = make(isFull ? [("otel.metric.overflow", "true")] : series.dimensions)
        return made.withLock { made in
            if let known = made.instrument(for: series) { return known }
            if isFull { made.overflow = instrument } else { made.instruments[series] = instrument }
            return instrument
        }
    }
}
