package import NIOCore

/// A state machine that opens a tunnel through a proxy: bytes of the proxy in, bytes for the proxy out.
///
/// ``TunnelHandler`` runs it on a channel. Each machine ends once, with `opened` or `failed`. After that, every event
/// returns `wait`.
package protocol TunnelMachine: ~Copyable {
    /// How many bytes of the proxy the machine keeps.
    var bufferedByteCount: Int { get }

    /// Begins the tunnel: the connection to the proxy is ready. Later calls return `wait`.
    mutating func begin() -> TunnelStep
    /// Records that the proxy sent bytes.
    mutating func received(_ bytes: ByteBuffer) -> TunnelStep
    /// Records that the proxy closed the connection.
    mutating func connectionClosed() -> TunnelStep
}

/// The next action of the caller of a ``TunnelMachine``.
package enum TunnelStep: Sendable, Hashable {
    /// Nothing. The machine needs more bytes, or it has ended.
    case wait
    /// Write these bytes to the proxy.
    case write([UInt8])
    /// The tunnel is open: the next byte in either direction belongs to the origin.
    case opened
    /// There is no tunnel. Close the connection.
    case failed(ProxyFailure)
}
