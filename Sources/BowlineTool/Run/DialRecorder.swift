internal import Bowline
internal import Synchronization

/// Records when the socket of each TLS connection was connected: its handshake begins then.
final class DialRecorder: ServiceEventListener {
    private let connected = Mutex<[Int: MonotonicInstant]>([:])

    func connectionConnected(_ event: ConnectionEvent) {
        guard event.origin.scheme == .https else { return }
        connected.withLock { $0[event.connection] = event.instant }
    }

    func connectionFailed(_ event: ConnectionEvent, error: ServiceError) {
        connected.withLock { _ = $0.removeValue(forKey: event.connection) }
    }

    /// Returns when the connection's handshake began, and forgets that instant; nil: there was no handshake. Only the
    /// first request of a connection waits for the handshake.
    func takeHandshakeStart(of connection: ConnectionFacts?) -> MonotonicInstant? {
        guard let connection, !connection.isReused else { return nil }
        return connected.withLock { $0.removeValue(forKey: connection.id) }
    }
}
