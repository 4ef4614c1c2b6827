public import BowlineCore

/// How a connection ended, as the server saw it. The case names the side that ended the connection first.
public enum ConnectionEnd: Sendable, Hashable {
    /// The client closed the connection in order: FIN, after close_notify if it is encrypted.
    case clientFinished
    /// The client reset the connection.
    case clientReset
    /// The client closed an encrypted connection without close_notify.
    case clientTruncated
    /// The TLS handshake failed. The text says how.
    case handshakeFailed(String)
    /// The server closed or reset the connection.
    case serverClosed
}

/// A server's record of one connection.
public struct ConnectionRecord: Sendable, Hashable {
    /// The connection's number, from 1, in the order of acceptance.
    public let number: Int
    /// When the server accepted it, on `MonotonicClock`.
    public let acceptedAt: MonotonicInstant
    /// When it ended; nil while it is open.
    public let endedAt: MonotonicInstant?
    /// How it ended; nil while it is open.
    public let end: ConnectionEnd?
    /// The client's port; nil on a Unix domain socket.
    public let peerPort: Int?
    /// How many requests the server has received completely.
    public let requests: Int
    /// How many bytes the client has sent, counted after decryption.
    public let bytesReceived: Int
    /// How many bytes the server has sent, counted before encryption.
    public let bytesSent: Int
    /// The server name in the client's handshake (SNI); nil if there is none.
    public let serverName: String?
    /// The application protocol negotiated in the handshake (ALPN); nil if there is none.
    public let applicationProtocol: String?
    /// The certificate that the client presented in the handshake, without the rest of its chain, in DER; nil if there
    /// is none.
    public let clientCertificate: [UInt8]?
}
