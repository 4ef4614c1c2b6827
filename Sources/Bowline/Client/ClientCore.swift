internal import BowlineCall
internal import BowlineCore
internal import BowlineTransport

/// The state that the copies of a client share: the transport and the lifecycle.
///
/// When the last copy is released without a shutdown, unused connections close at once, and the other connections close
/// when their requests have ended.
final class ClientCore: Sendable {
    let transport: any ServiceTransport
    /// The transport, if it is Bowline's own.
    let pooled: PooledTransport?
    let lifecycle: ClientLifecycle
    let clock: any ServiceClock
    /// Makes spans; nil: tracing is off, or no tracer is installed.
    let tracing: AttemptTracing?
    /// The metrics; nil: they are off, or no metrics backend is installed.
    let metrics: ClientMetrics?
    /// Delivers events to listeners; nil: there are none.
    let events: EventDispatch?
    /// The retry budgets, by origin.
    let retryBudgets: RetryBudgets
    /// The latencies of hedged requests, by scope.
    let hedgingLatencies = HedgingLatencies()
    /// The gates, by scope.
    let gates: ServiceGates
    /// The balancers. Without `resilience.balancing` there are none in it.
    let balancers: Balancers

    /// Checks the configuration, and makes the core of a client.
    ///
    /// - Parameter base: The base URL that the client is made with.
    /// - Throws: ``ServiceError`` `invalidConfiguration`, which names every problem.
    init(configuration: ClientConfiguration, base: ServiceURL?, transport: (any ServiceTransport)?) throws {
        try configuration.problems(base: base).throwIfAny()
        tracing = configuration.telemetry.isTracingEnabled ? AttemptTracing() : nil
        metrics = configuration.telemetry.isMetricsEnabled ? ClientMetrics() : nil
        let measuring: [any ServiceEventListener] = metrics.map { [MetricsListener(metrics: $0)] } ?? []
        events = EventDispatch(measuring + configuration.telemetry.events, clock: configuration.clock)
        if let transport {
            self.transport = transport
            pooled = nil
        } else {
            let made = try PooledTransport(options: configuration.transportOptions(events: events))
            self.transport = made
            pooled = made
            ClientLog.warn(made.warnings, to: configuration.telemetry.logger)
        }
        clock = configuration.clock
        retryBudgets = RetryBudgets()
        gates = ServiceGates(clock: configuration.clock, metrics: metrics)
        balancers = Balancers(
            base: base, transport: self.transport, events: events, clock: configuration.clock,
            random: configuration.random)
        lifecycle = ClientLifecycle(
            transport: self.transport, clock: configuration.clock, logger: configuration.telemetry.logger)
    }

    deinit {
        guard lifecycle.state == .running else { return }
        ClientLog.releasedWithoutShutdown()
        lifecycle.clientReleased()
    }
}
