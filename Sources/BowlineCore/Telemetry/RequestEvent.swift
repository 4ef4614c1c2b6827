/// The facts that every event of a request has: which request it is about, and when it happened.
public struct RequestEvent: Sendable {
    /// The call's number: unique within the client, from 1. All hops and attempts of a call have the same number.
    public let request: Int
    /// The number of the hop: 0 at first, and one more after each redirect that was followed.
    public let hop: Int
    /// The number of the attempt within its hop, from 1.
    public let attempt: Int
    /// The number of the hedge among the hedges of this attempt, from 1; 0: the attempt is no hedge.
    public let hedge: Int
    /// How many times the transport has resent this attempt: 0 for its first send.
    public let resend: Int
    /// The call's method.
    public let method: String
    /// The call's target template, or its path without the query.
    public let target: String
    /// The origin of the attempt.
    public let origin: Origin
    /// The connection that carries the request; nil: the request has none at this moment.
    public let connection: Int?
    /// When the event happened, on the client's clock.
    public let instant: MonotonicInstant

    package init(
        _ context: RequestContext, number: Int, resend: Int, origin: Origin, connection: Int?,
        instant: MonotonicInstant
    ) {
        request = number
        hop = context.hop
        attempt = context.attempt
        hedge = context.call.hedge
        self.resend = resend
        method = context.call.method
        target = context.call.target
        self.origin = origin
        self.connection = connection
        self.instant = instant
    }
}

/// The facts that every event of a connection has: which connection it is about, and when it happened.
public struct ConnectionEvent: Sendable {
    /// The connection's number: unique within the client, from 1, in the order in which the dials began.
    public let connection: Int
    /// The connection's origin.
    public let origin: Origin
    /// When the event happened, on the client's clock.
    public let instant: MonotonicInstant

    package init(connection: Int, origin: Origin, instant: MonotonicInstant) {
        self.connection = connection
        self.origin = origin
        self.instant = instant
    }
}

/// The reason why a request ended before its response was complete.
public enum RequestEnding: Sendable {
    /// The request failed.
    case failed(ServiceError)
    /// The calling task was cancelled.
    case cancelled
    /// The caller dropped the response's body.
    case abandoned
}
