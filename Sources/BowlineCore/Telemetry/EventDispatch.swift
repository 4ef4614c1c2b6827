internal import Synchronization

/// Delivers events to a client's listeners. A client without listeners has no dispatch. Code that may deliver an event
/// first checks whether there is a dispatch. Without listeners, this check is the only cost.
package final class EventDispatch: Sendable {
    private let listeners: [any ServiceEventListener]
    private let clock: any ServiceClock
    private let requestsNumbered = Atomic(0)

    /// Makes a dispatch; nil: there are no listeners.
    package init?(_ listeners: [any ServiceEventListener], clock: any ServiceClock) {
        guard !listeners.isEmpty else { return nil }
        self.listeners = listeners
        self.clock = clock
    }

    package var now: MonotonicInstant { clock.now }

    /// Delivers an event of a request to all listeners.
    ///
    /// - Parameters:
    ///   - context: The context of the attempt.
    ///   - instant: When the event happened; nil: now.
    package func request(
        _ context: RequestContext, resend: Int, origin: Origin, connection: Int?,
        at instant: MonotonicInstant? = nil, _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        let event = RequestEvent(
            context, number: assignNumber(to: context.call.wholeCall), resend: resend, origin: origin,
            connection: connection,
            instant: instant ?? clock.now
        )
        for listener in listeners { tell(listener, event) }
    }

    /// Delivers an event of a connection to all listeners.
    package func connection(
        _ id: Int, origin: Origin, _ tell: (any ServiceEventListener, ConnectionEvent) -> Void
    ) {
        let event = ConnectionEvent(connection: id, origin: origin, instant: clock.now)
        for listener in listeners { tell(listener, event) }
    }

    /// Delivers an event of gates or balancers, which belongs to no request, to all listeners.
    package func resilience(_ tell: (any ServiceEventListener) -> Void) {
        for listener in listeners { tell(listener) }
    }

    /// Delivers the decision after a failed attempt to all listeners.
    ///
    /// - Parameter context: The context of the attempt that failed.
    package func retryDecided(_ decision: RetryDecision, _ context: RequestContext, origin: Origin) {
        request(context, resend: 0, origin: origin, connection: nil) {
            $0.retryDecided($1, decision)
        }
    }

    /// Notifies all listeners that the wait before another attempt is over.
    ///
    /// - Parameter context: The context of the attempt that failed.
    package func retryBegan(_ context: RequestContext, origin: Origin) {
        request(context, resend: 0, origin: origin, connection: nil) {
            $0.retryBegan($1)
        }
    }

    /// Notifies all listeners that a hedge begins.
    ///
    /// - Parameters:
    ///   - context: The context of the hedge.
    ///   - delay: The time since the first attempt began.
    package func hedgeBegan(_ context: RequestContext, delay: Duration, origin: Origin) {
        request(context, resend: 0, origin: origin, connection: nil) {
            $0.hedgeBegan($1, delay: delay)
        }
    }

    /// Notifies all listeners that an attempt with hedges has ended.
    ///
    /// - Parameters:
    ///   - context: The context of the first attempt.
    ///   - winner: The number of the attempt whose outcome counts, 1 for the first.
    package func hedgeEnded(_ context: RequestContext, winner: Int, origin: Origin) {
        request(context, resend: 0, origin: origin, connection: nil) {
            $0.hedgeEnded($1, winner: winner)
        }
    }

    /// Notifies all listeners that the fallback has made the response of a call that failed.
    package func fallbackUsed(_ error: ServiceError, _ context: RequestContext, origin: Origin) {
        request(context, resend: 0, origin: origin, connection: nil) {
            $0.fallbackUsed($1, error: error)
        }
    }

    /// Returns the call's number. Assigns the next number if this is the call's first event.
    private func assignNumber(to call: CallRecord) -> Int {
        let known = call.number.load(ordering: .relaxed)
        guard known == 0 else { return known }
        let next = requestsNumbered.wrappingAdd(1, ordering: .relaxed).newValue
        let (isOurs, number) = call.number.compareExchange(expected: 0, desired: next, ordering: .relaxed)
        return isOurs ? next : number
    }
}
