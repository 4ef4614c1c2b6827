package import BowlineCore
internal import Metrics

/// Measures connections, waits for connections, resends, decisions about retries, refusals by gates, and circuit
/// breakers.
package final class MetricsListener: ServiceEventListener {
    private let metrics: ClientMetrics
    /// Whether each open connection is in use, by the connection's number. A connection that is not in this table is
    /// closed, or is still being dialled.
    private let inUse = Guarded<[Int: Bool]>([:])

    package init(metrics: ClientMetrics) {
        self.metrics = metrics
    }

    package func requestQueued(_ event: RequestEvent) {
        metrics.queued[metrics.place(event.origin)].increment()
    }

    package func requestDequeued(_ event: RequestEvent, waited: Duration) {
        let place = metrics.place(event.origin)
        metrics.queued[place].decrement()
        metrics.queueTime[place].recordNanoseconds(waited.saturatingNanoseconds)
    }

    package func requestLeased(_ event: RequestEvent, isReused: Bool) {
        guard let connection = event.connection else { return }
        change(connection, to: true, of: event.origin)
    }

    package func requestResending(_ event: RequestEvent) {
        metrics.resends[metrics.place(event.origin)].increment()
    }

    package func connectionEstablished(_ event: ConnectionEvent) {
        inUse.withLock { $0[event.connection] = false }
        meter(isActive: false, event.origin).increment()
    }

    package func connectionReleased(_ event: ConnectionEvent) {
        change(event.connection, to: false, of: event.origin)
    }

    package func connectionClosed(_ event: ConnectionEvent, reason: String, age: Duration) {
        metrics.connectionDuration[metrics.place(event.origin)].recordNanoseconds(age.saturatingNanoseconds)
        guard let isActive = inUse.withLock({ $0.removeValue(forKey: event.connection) }) else { return }
        meter(isActive: isActive, event.origin).decrement()
    }

    package func retryDecided(_ event: RequestEvent, _ decision: RetryDecision) {
        let place = metrics.place(event.origin)
        if let left = decision.budgetLeft { metrics.budget[place].set(left) }
        // A retry is counted only when it begins, because a shutdown or the caller may end the wait before the retry.
        guard case .giveUp(let reason) = decision.verdict else { return }
        metrics.retries[RetrySeries(place: place, reason: reason)].increment()
    }

    package func retryBegan(_ event: RequestEvent) {
        metrics.retries[RetrySeries(place: metrics.place(event.origin), reason: nil)].increment()
    }

    package func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal) {
        let gate = GateSeries(scope: metrics.scope(refusal.scope), gate: refusal.gate)
        metrics.gateRefusals[RefusalSeries(gate: gate, reason: refusal.reason)].increment()
    }

    package func breakerChanged(_ change: BreakerChange) {
        let scope = metrics.scope(change.scope)
        metrics.breakerState[scope].set(change.to.measure)
        metrics.breakerChanges[BreakerSeries(scope: scope, state: change.to)].increment()
    }

    private func change(_ connection: Int, to isActive: Bool, of origin: Origin) {
        let isChanged = inUse.withLock { connections in
            guard let wasActive = connections[connection], wasActive != isActive else { return false }
            connections[connection] = isActive
            return true
        }
        guard isChanged else { return }
        meter(isActive: !isActive, origin).decrement()
        meter(isActive: isActive, origin).increment()
    }

    private func meter(isActive: Bool, _ origin: Origin) -> Meter {
        metrics.open[ConnectionSeries(isActive: isActive, place: metrics.place(origin))]
    }
}

extension BreakerState {
    /// The state as a number for the meter: the higher, the less goes to the service.
    fileprivate var measure: Int {
        switch self {
        case .closed: 0
        case .halfOpen: 1
        case .open: 2
        case .isolated: 3
        }
    }
}
