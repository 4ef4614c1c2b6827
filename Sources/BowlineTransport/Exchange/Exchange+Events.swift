internal import BowlineCore

extension Exchange {
    /// Calls a client's listeners with an event of the request. Without listeners this costs one inlined comparison.
    @inline(__always)
    func tell(
        at instant: MonotonicInstant? = nil, _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        if let events { call(events, at: instant, tell) }
    }

    @inline(never)
    private func call(
        _ events: EventDispatch, at instant: MonotonicInstant?,
        _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        events.request(
            request.context, resend: resends, origin: request.origin, connection: connection.id.value, at: instant, tell
        )
    }
}

extension RequestEnding {
    /// Makes the ending of a request from the error that its caller gets.
    init(_ error: any Error) {
        switch error {
        case let error as ServiceError: self = .failed(error)
        default: self = .cancelled
        }
    }
}
