/// Gets an event for each phase of requests and connections, as it happens. Registered with `telemetry.events` when a client is
/// made; derived clients share its listeners.
///
/// Every method does nothing by default: implement the ones that you need. They are called on event loops and in callers'
/// tasks, for several requests at once, and must not block: requests wait while they run. The events of one
/// request come in order, and so do the events of one connection.
///
/// A request that finds an unused connection: `requestLeased`, `requestHeadSent`, `requestBodySent`,
/// `responseFirstByte`, `responseHead`, `responseBodyEnd`. A request that finds no idle connection has `requestQueued` and
/// `requestDequeued` before that. `requestEnded` replaces the events that do not follow any more; after it
/// `requestResending`, if the transport sends the request again on its own (`Docs/ConnectionReuse.md`). A body that was
/// sent before the peer had it all may end after the response: `requestBodySent` then comes last. If the caller gives up in the
/// instant when the response ends, both events may come.
///
/// A connection: `connectionDialling`, `connectionConnected`, with TLS `connectionSecured`, `connectionEstablished`, then
/// `connectionReleased` after each request that leaves it usable (with HTTP/2 when no request is left on it), at last
/// `connectionClosed`; or `connectionFailed`, which replaces the events that do not follow any more.
public protocol ServiceEventListener: Sendable {
    /// No connection is free for the request: it waits for one to be returned or dialled.
    func requestQueued(_ event: RequestEvent)
    /// The request waits no longer; it has a connection, or has failed. `waited` is since `requestQueued`.
    func requestDequeued(_ event: RequestEvent, waited: Duration)
    /// The request has a connection, which had carried a request before, or not. Told again, of another one, if an HTTP/2
    /// connection takes no more requests when it comes there.
    func requestLeased(_ event: RequestEvent, isReused: Bool)
    /// The head was handed to the network.
    func requestHeadSent(_ event: RequestEvent)
    /// The request was handed to the network to its end; at once after the head if there is no body or a small one.
    func requestBodySent(_ event: RequestEvent)
    /// The first byte of a response, an informational one perhaps, has arrived.
    func responseFirstByte(_ event: RequestEvent)
    /// The final response head has arrived.
    func responseHead(_ event: RequestEvent, status: Int)
    /// The last byte of the response has arrived; the caller may not have read it yet.
    func responseBodyEnd(_ event: RequestEvent)
    /// The sending of the request ended before its response was complete.
    func requestEnded(_ event: RequestEvent, _ ending: RequestEnding)
    /// The transport sends the request again, because the connection it had was dead.
    func requestResending(_ event: RequestEvent)
    /// It was decided whether an attempt that failed is followed by another: once for each.
    func retryDecided(_ event: RequestEvent, _ decision: RetryDecision)
    /// The wait that was decided is over, and the next attempt begins; `attempt` is still the one that failed. Not called if a
    /// shutdown or the caller ends the wait.
    func retryBegan(_ event: RequestEvent)

    /// A dial begins: name resolution, TCP, TLS.
    func connectionDialling(_ event: ConnectionEvent)
    /// The socket is connected.
    func connectionConnected(_ event: ConnectionEvent)
    /// The TLS handshake is done.
    func connectionSecured(_ event: ConnectionEvent)
    /// The connection is ready for requests.
    func connectionEstablished(_ event: ConnectionEvent)
    /// The dial failed, or no request needs it any longer.
    func connectionFailed(_ event: ConnectionEvent, error: ServiceError)
    /// The connection goes back to the pool: it carries no request.
    func connectionReleased(_ event: ConnectionEvent)
    /// The connection is closed by our side or was by the peer: one of the reasons of `Docs/ConnectionReuse.md`. `age` is
    /// since it was established.
    func connectionClosed(_ event: ConnectionEvent, reason: String, age: Duration)
}

extension ServiceEventListener {
    /// Does nothing.
    public func requestQueued(_ event: RequestEvent) {}
    /// Does nothing.
    public func requestDequeued(_ event: RequestEvent, waited: Duration) {}
    /// Does nothing.
    public func requestLeased(_ event: RequestEvent, isReused: Bool) {}
    /// Does nothing.
    public func requestHeadSent(_ event: RequestEvent) {}
    /// Does nothing.
    public func requestBodySent(_ event: RequestEvent) {}
    /// Does nothing.
    public func responseFirstByte(_ event: RequestEvent) {}
    /// Does nothing.
    public func responseHead(_ event: RequestEvent, status: Int) {}
    /// Does nothing.
    public func responseBodyEnd(_ event: RequestEvent) {}
    /// Does nothing.
    public func requestEnded(_ event: RequestEvent, _ ending: RequestEnding) {}
    /// Does nothing.
    public func requestResending(_ event: RequestEvent) {}
    /// Does nothing.
    public func retryDecided(_ event: RequestEvent, _ decision: RetryDecision) {}
    /// Does nothing.
    public func retryBegan(_ event: RequestEvent) {}
    /// Does nothing.
    public func connectionDialling(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionConnected(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionSecured(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionEstablished(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionFailed(_ event: ConnectionEvent, error: ServiceError) {}
    /// Does nothing.
    public func connectionReleased(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionClosed(_ event: ConnectionEvent, reason: String, age: Duration) {}
}
