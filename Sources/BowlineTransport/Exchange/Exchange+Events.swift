internal import BowlineCore

extension Exchange {
    /// Tells a client's listeners of something that happened to the request. Without listeners that is one comparison.
    func tell(
        at instant: MonotonicInstant? = nil, _ tell: (any ServiceEventListener, RequestEvent) -> Void
    ) {
        guard let events else { return }
        events.request(
            request.context, resend: resends, origin: request.origin, connection: connection.id.value, at: instant, tell
        )
    }
}

extension RequestEnding {
    /// What an error that a caller gets makes of its request.
    init(_ error: any Error) {
        switch error {
        case let error as ServiceError: self = .failed(error)
        default: self = .cancelled
        }
    }
}
