internal import BowlineCore

/// Tells a client's listeners what becomes of one connection. There is none for a client without listeners.
struct ConnectionEvents: Sendable {
    let dispatch: EventDispatch
    private let id: ConnectionID
    private let origin: Origin
    /// When the connection was ready for requests; until then, when its dial began.
    private var since: MonotonicInstant

    /// Tells that the dial begins.
    init?(_ dispatch: EventDispatch?, id: ConnectionID, origin: Origin) {
        guard let dispatch else { return nil }
        self.dispatch = dispatch
        self.id = id
        self.origin = origin
        since = dispatch.now
        tell { $0.connectionDialling($1) }
    }

    func tell(_ tell: (any ServiceEventListener, ConnectionEvent) -> Void) {
        dispatch.connection(id.value, origin: origin, tell)
    }

    /// The connection is ready for requests. Returns what tells of its further life.
    func established() -> ConnectionEvents {
        var events = self
        events.since = dispatch.now
        tell { $0.connectionEstablished($1) }
        return events
    }

    func closed(_ reason: CloseReason) {
        tell { $0.connectionClosed($1, reason: reason.rawValue, age: since.duration(to: $1.instant)) }
    }
}
