public import BowlineCore

/// How a connection ended, as the server saw it: whichever side was first.
public enum ConnectionEnd: Sendable, Hashable {
    /// The client closed it in order: FIN, after close_notify where it is encrypted.
    case clientFinished
    /// The client reset it.
    case clientReset
    /// The client closed an encrypted connection without close_notify.
    case clientTruncated
    /// The TLS handshake failed; the text says how.
    case handshakeFailed(String)
    /// The server closed or reset it.
    case serverClosed
}

/// What a server knows about one connection.
public struct ConnectionRecord: Sendable, Hashable {
    /// Its number, from 1, in the order in which connections were accepted.
    public let number: Int
    /// When it was accepted, on `MonotonicClock`.
    public let acceptedAt: MonotonicInstant
    /// When it ended; nil while it is open.
    public let endedAt: MonotonicInstant?
    /// How it ended; nil while it is open.
    public let end: ConnectionEnd?
    /// The client's port; nil on a Unix domain socket.
    public let peerPort: Int?
    /// How many requests were received whole.
    public let requests: Int
    /// How many bytes the client has sent, decrypted.
    public let bytesReceived: Int
    /// How many bytes were sent to the client, before encryption.
    public let bytesSent: Int
    /// The name that the client asked for in its handshake (SNI); nil if none.
    public let serverName: String?
    /// The application protocol agreed in the handshake (ALPN); nil if none.
    public let applicationProtocol: String?
}
