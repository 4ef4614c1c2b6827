/// Gets an event for each phase of requests and connections, as it happens. Register listeners in `telemetry.events`
/// when you make a client. Derived clients share its listeners.
///
/// Every method does nothing by default: implement the methods that you need. They are called on event loops and in
/// callers' tasks, for several requests at once. They must not block, because requests wait while they run. The events
/// of one request come in order. The events of one connection also come in order.
///
/// The events of a request that finds an idle connection: `requestLeased`, `requestHeadSent`, `requestBodySent`,
/// `responseFirstByte`, `responseHead`, `responseBodyEnd`. A request that finds no idle connection has `requestQueued`
/// and `requestDequeued` before these. If the request ends early, `requestEnded` replaces the remaining events.
/// `requestResending` follows `requestEnded` if the transport resends the request (`Docs/ConnectionReuse.md`).
///
/// An upload may end after the response. Then `requestBodySent` comes last. If the caller drops the response's body at
/// the instant when the response ends, both `responseBodyEnd` and `requestEnded` may come.
///
/// The events of a connection: `connectionDialling`, `connectionResolved` (only if a name was looked up),
/// `connectionConnected`, `connectionTunnelled` (only with a tunnel through a proxy), `connectionSecured` (only with
/// TLS), `connectionEstablished`. `connectionReleased` follows each time the connection goes back to the pool: with HTTP/1.1
/// after each request, with HTTP/2 when no request uses the connection any more. `connectionClosed` comes last. If the
/// dial fails, `connectionFailed` replaces the remaining events.
public protocol ServiceEventListener: Sendable {
    /// No connection is free for the request. The request waits until a connection is returned or dialled.
    func requestQueued(_ event: RequestEvent)
    /// The wait for a connection is over: the request has a connection, or has failed. `waited` is the time since
    /// `requestQueued`.
    func requestDequeued(_ event: RequestEvent, waited: Duration)
    /// The request has a connection. `isReused`: whether the connection had carried a request before. Called again if
    /// the request moves to another connection, because an HTTP/2 connection took no more requests when the request
    /// reached it.
    func requestLeased(_ event: RequestEvent, isReused: Bool)
    /// The head was written to the connection.
    func requestHeadSent(_ event: RequestEvent)
    /// The whole request was written to the connection. If there is no body or only a small body, this event follows
    /// `requestHeadSent` at once.
    func requestBodySent(_ event: RequestEvent)
    /// The first byte of a response has arrived, perhaps of an informational one.
    func responseFirstByte(_ event: RequestEvent)
    /// The final response head has arrived.
    func responseHead(_ event: RequestEvent, status: Int)
    /// The last byte of the response has arrived; the caller may not have read it yet.
    func responseBodyEnd(_ event: RequestEvent)
    /// The request ended before its response was complete.
    func requestEnded(_ event: RequestEvent, _ ending: RequestEnding)
    /// The transport resends the request on another connection, because the first connection was dead or the peer
    /// refused the request.
    func requestResending(_ event: RequestEvent)
    /// The client has decided whether another attempt follows a failed attempt. Called once for each failed attempt.
    func retryDecided(_ event: RequestEvent, _ decision: RetryDecision)
    /// The wait before a retry is over, and the next attempt begins. `event.attempt` is still the failed attempt. Not
    /// called if a shutdown or the caller ends the wait.
    func retryBegan(_ event: RequestEvent)

    /// A gate has refused the attempt. Nothing of it was sent. `retryDecided` follows, except for a hedge. If a shutdown
    /// ends the wait of a retry or second sending, the call ends with its last outcome, and `retryDecided` does not
    /// follow.
    func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal)
    /// The attempt waited for a gate and goes on now.
    func gateWaited(_ event: RequestEvent, _ gate: ServiceGate, waited: Duration)
    /// A hedge begins: another attempt of the call is still in flight. `delay` is the time since the first attempt
    /// began.
    func hedgeBegan(_ event: RequestEvent, delay: Duration)
    /// The hedged attempt has ended. `winner` is the number of the attempt whose outcome counts, 1 for the first.
    func hedgeEnded(_ event: RequestEvent, winner: Int)
    /// A circuit breaker has changed its state.
    func breakerChanged(_ change: BreakerChange)
    /// The endpoints of a balancer have changed. `origin` is the origin that the requests name.
    func endpointsChanged(_ origin: Origin, _ change: EndpointChange)
    /// The call failed with `error`, and `options.fallback` made its response.
    func fallbackUsed(_ event: RequestEvent, error: ServiceError)

    /// A dial begins: name resolution, TCP, the tunnel through a proxy, TLS.
    func connectionDialling(_ event: ConnectionEvent)
    /// The first address of the host's name, or of the proxy's name, is known. Not called if the host is an address.
    func connectionResolved(_ event: ConnectionEvent)
    /// The socket is connected, to the origin or to a proxy.
    func connectionConnected(_ event: ConnectionEvent)
    /// The proxy has opened a tunnel to the origin.
    func connectionTunnelled(_ event: ConnectionEvent)
    /// The TLS handshake with the origin is done.
    func connectionSecured(_ event: ConnectionEvent)
    /// The connection is ready for requests.
    func connectionEstablished(_ event: ConnectionEvent)
    /// The dial failed, or was cancelled because no request needs it.
    func connectionFailed(_ event: ConnectionEvent, error: ServiceError)
    /// The connection goes back to the pool. An HTTP/2 connection goes back when it carries no request any more.
    func connectionReleased(_ event: ConnectionEvent)
    /// The connection was closed by the client or by the peer. `reason` is one of the reasons in
    /// `Docs/ConnectionReuse.md`. `age` is the time since the connection was established.
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
    public func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal) {}
    /// Does nothing.
    public func gateWaited(_ event: RequestEvent, _ gate: ServiceGate, waited: Duration) {}
    /// Does nothing.
    public func hedgeBegan(_ event: RequestEvent, delay: Duration) {}
    /// Does nothing.
    public func hedgeEnded(_ event: RequestEvent, winner: Int) {}
    /// Does nothing.
    public func breakerChanged(_ change: BreakerChange) {}
    /// Does nothing.
    public func endpointsChanged(_ origin: Origin, _ change: EndpointChange) {}
    /// Does nothing.
    public func fallbackUsed(_ event: RequestEvent, error: ServiceError) {}
    /// Does nothing.
    public func connectionDialling(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionResolved(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionConnected(_ event: ConnectionEvent) {}
    /// Does nothing.
    public func connectionTunnelled(_ event: ConnectionEvent) {}
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
