internal import BowlineCore

/// Reports the events of one connection to the client's listeners. A client without listeners has no such value.
struct ConnectionEvents: Sendable {
    let dispatch: EventDispatch
    private let id: ConnectionID
    private let origin: Origin
    /// When the connection became ready for requests. Before that: when its dial began.
    private var since: MonotonicInstant

    /// Reports that the dial begins. Returns nil without listeners.
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

    /// Reports that the connection is ready for requests. Returns the value that reports its later events.
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
