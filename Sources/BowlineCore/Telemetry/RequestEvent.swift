/// Which request an event is about, and when it happened.
public struct RequestEvent: Sendable {
    /// The call's number: unique within the client, from 1; the same for all hops and attempts of a call.
    public let request: Int
    /// Which hop of the call: 0, and one more after each redirect that was followed.
    public let hop: Int
    /// Which attempt of the hop, from 1.
    public let attempt: Int
    /// Which sending of the attempt: 0, or 1 after the transport has sent it again on its own.
    public let resend: Int
    /// The call's method.
    public let method: String
    /// The call's target template, or its path without the query.
    public let target: String
    /// The origin of the attempt.
    public let origin: Origin
    /// The connection that carries it; nil while it has none.
    public let connection: Int?
    /// When it happened, on the client's clock.
    public let instant: MonotonicInstant

    package init(
        _ context: RequestContext, number: Int, resend: Int, origin: Origin, connection: Int?,
        instant: MonotonicInstant
    ) {
        request = number
        hop = context.hop
        attempt = context.attempt
        self.resend = resend
        method = context.call.method
        target = context.call.target
        self.origin = origin
        self.connection = connection
        self.instant = instant
    }
}

/// Which connection an event is about, and when it happened.
public struct ConnectionEvent: Sendable {
    /// The connection's number: unique within the client, from 1, in the order in which dials began.
    public let connection: Int
    /// The connection's origin.
    public let origin: Origin
    /// When it happened, on the client's clock.
    public let instant: MonotonicInstant

    package init(connection: Int, origin: Origin, instant: MonotonicInstant) {
        self.connection = connection
        self.origin = origin
        self.instant = instant
    }
}

/// Why the sending of a request ended before its response was complete.
public enum RequestEnding: Sendable {
    /// It failed.
    case failed(ServiceError)
    /// The calling task was cancelled.
    case cancelled
    /// The caller let the response's body go.
    case abandoned
}
