internal import Bowline
internal import Synchronization

/// Notes when the sockets of encrypted connections were connected: there their dial ends and their TLS handshake begins.
final class DialWatch: ServiceEventListener {
    private let connected = Mutex<[Int: MonotonicInstant]>([:])

    func connectionConnected(_ event: ConnectionEvent) {
        guard event.origin.scheme == .https else { return }
        connected.withLock { $0[event.connection] = event.instant }
    }

    func connectionFailed(_ event: ConnectionEvent, error: ServiceError) {
        connected.withLock { _ = $0.removeValue(forKey: event.connection) }
    }

    /// When the connection's handshake began; nil: it has none. Forgets it: only a connection's first request had to wait
    /// for that.
    func takeHandshakeStart(of connection: ConnectionFacts?) -> MonotonicInstant? {
        guard let connection, !connection.isReused else { return nil }
        return connected.withLock { $0.removeValue(forKey: connection.id) }
    }
}
