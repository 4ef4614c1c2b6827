/// Says why a connection was closed. Snapshots count by it; the raw values are part of what users see.
enum CloseReason: String, Sendable, Hashable, CaseIterable {
    /// It had been idle for `PoolConfiguration.idleTimeout`.
    case idleTimeout
    /// It had been idle longest when another connection came back to a pool that was full of idle ones.
    case idleCapacity
    /// It had been idle longest of all origins' connections when the limit over all origins was exceeded.
    case totalIdleCapacity
    /// It was older than `PoolConfiguration.maximumLifetime` when it next was idle.
    case lifetimeExceeded
    /// It had served `PoolConfiguration.maximumUses` requests.
    case usesExceeded
    /// Pooling is off: each connection serves one request.
    case poolingDisabled
    /// The peer closed or reset it.
    case closedByPeer
    /// Bytes arrived that no request had asked for (RFC 9112 §9.2).
    case unsolicitedBytes
    /// The request or the response said `Connection: close`, or the peer speaks HTTP/1.0 without keep-alive.
    case connectionCloseRequested
    /// The response's body ended with the connection.
    case eofDelimitedBody
    /// It became a tunnel or changed to another protocol.
    case upgraded
    /// The peer announced that it takes no more requests on it (HTTP/2 GOAWAY).
    case goAway
    /// The peer refused streams on it time after time (HTTP/2 REFUSED_STREAM).
    case streamsRefused
    /// It has no stream numbers left (HTTP/2).
    case streamsExhausted
    /// It did not answer a keep-alive probe (HTTP/2 PING).
    case keepAliveFailed
    /// The peer broke the protocol's rules.
    case protocolError
    /// Bytes followed a complete response.
    case leftoverBytes
    /// The server's `Keep-Alive: timeout` left no time to reuse it, or ran out while it was idle.
    case keepAliveTimeout
    /// The caller dropped a response body that was too long, or too slow, to be read to its end.
    case bodyAbandoned
    /// The request was cancelled while it used the connection.
    case cancelled
    /// The request ran out of time while it used the connection.
    case timedOut
    /// The response was complete before the request had been sent to its end.
    case requestUnfinished
    /// Reading or writing failed.
    case transportError
    /// It had been idle at least as long as a connection that turned out to be dead.
    case stale
    /// Its dial ended after the pool had given it up.
    case dialUnneeded
    /// It made room, at the limit of connections, for one that had to be new.
    case replaced
    /// The client shuts down and nobody needed it any longer.
    case shutdown
    /// The client's shutdown ran out of time.
    case forced
    /// The last value of its client went away while it was idle.
    case poolReleased
    /// Its origin had not been used for a while and its pool was removed.
    case cold
}
