/// The reason why a connection was closed. Snapshots count closed connections by reason; users see the raw values.
enum CloseReason: String, Sendable, Hashable, CaseIterable {
    /// It had been idle for `PoolConfiguration.idleTimeout`.
    case idleTimeout
    /// It had been idle longest when another connection became idle and the pool was at its limit of idle connections.
    case idleCapacity
    /// Of the connections of all origins, it had been idle longest when the limit over all origins was exceeded.
    case totalIdleCapacity
    /// It was older than `PoolConfiguration.maximumLifetime` when it became free, or while it was idle.
    case lifetimeExceeded
    /// It had served `PoolConfiguration.maximumUses` requests.
    case usesExceeded
    /// Pooling is off: each connection serves one request.
    case poolingDisabled
    /// The peer closed or reset the connection.
    case closedByPeer
    /// Bytes arrived that no request had asked for (RFC 9112 §9.2).
    case unsolicitedBytes
    /// The request or the response said `Connection: close`, or the peer speaks HTTP/1.0 without keep-alive.
    case connectionCloseRequested
    /// The end of the connection was the end of the response's body.
    case eofDelimitedBody
    /// It became a tunnel or changed to another protocol.
    case upgraded
    /// The peer announced that it takes no more requests on it (HTTP/2 GOAWAY).
    case goAway
    /// The peer repeatedly refused streams on it (HTTP/2 REFUSED_STREAM).
    case streamsRefused
    /// It has no stream numbers left (HTTP/2).
    case streamsExhausted
    /// It did not answer a keep-alive probe (HTTP/2 PING).
    case keepAliveFailed
    /// The peer broke the protocol's rules.
    case protocolError
    /// Bytes followed a complete response.
    case leftoverBytes
    /// The server's `Keep-Alive: timeout` left no time to reuse it, or ended while it was idle.
    case keepAliveTimeout
    /// The caller dropped a response body that was too long, or too slow, to read to its end.
    case bodyAbandoned
    /// The request was cancelled while it used the connection.
    case cancelled
    /// A time limit of the request passed while it used the connection.
    case timedOut
    /// The response was complete before the request was completely sent.
    case requestUnfinished
    /// Reading or writing failed.
    case transportError
    /// It had been idle at least as long as a connection that was found dead.
    case stale
    /// The pool had cancelled its dial, or no request needed the connection any more.
    case dialUnneeded
    /// It made room for another connection, at the limit of connections or because descriptors were short.
    case replaced
    /// The client shuts down, and no request needed the connection any more.
    case shutdown
    /// Its host no longer has its address, and no request needed the connection any more.
    case addressGone
    /// The client's shutdown reached its deadline.
    case forced
    /// The last value of its client was released, and no request used the connection.
    case poolReleased
    /// Its origin had not been used for a while, and the pool was removed.
    case cold
}
