/// A direction of bytes through a ``FaultProxy``.
public enum FaultDirection: Sendable, Hashable, CaseIterable {
    /// From the client to the server.
    case toServer
    /// From the server to the client.
    case toClient

    var opposite: FaultDirection {
        switch self {
        case .toServer: .toClient
        case .toClient: .toServer
        }
    }
}

/// How a ``FaultProxy`` ends a connection.
public enum FaultCut: Sendable, Hashable {
    /// With FIN: each peer reads the end of the stream.
    ///
    /// For one second the proxy reads and drops the bytes that a peer still sends; then it closes the socket.
    case fin
    /// With RST: each peer's next read or write fails with `ECONNRESET` or `EPIPE`.
    ///
    /// Bytes that passed before are lost if the peer's kernel has not received them yet, as on a network.
    case reset
}

/// A fault that happens when a given number of bytes has passed in one direction.
///
/// An event at offset n happens as soon as n bytes have passed, without waiting for the next byte. An event at 0
/// happens as soon as the server has been dialled. The event does not happen if the direction ends earlier. Events with
/// the same offset happen in the order of the list.
public struct FaultEvent: Sendable, Hashable {
    /// The kinds of faults.
    public enum Kind: Sendable, Hashable {
        /// The proxy ends both sockets.
        case cut(FaultCut)
        /// The proxy sends a FIN to the receiver of this direction, and drops further bytes of the sender. The other
        /// direction continues.
        case halfClose
        /// No bytes pass in this direction for this time; then the bytes continue. Zero or less: no pause.
        case pause(Duration)
        /// Nothing passes any more in this direction, not even the sender's FIN. Both sockets stay open.
        /// ``FaultProxy/resume()`` ends the silence.
        case silence
        /// Nothing passes any more in either direction; see `silence`.
        case silenceBoth
        /// The proxy drops this many of the sender's next bytes. Zero or less: none.
        case swallow(Int)
        /// The proxy passes this many of the sender's next bytes, then the same bytes a second time. Zero or less:
        /// none.
        ///
        /// More than 65,536 bytes are repeated in blocks of that size.
        case duplicate(Int)
        /// The proxy flips each bit in this many of the sender's next bytes. Zero or less: none.
        case corrupt(Int)
    }

    /// How many bytes of the sender pass before the event happens, from 0; a negative number counts as 0.
    ///
    /// Swallowed bytes count, and duplicated bytes count once.
    public var offset: Int
    /// The fault.
    public var kind: Kind

    /// Makes an event.
    public init(at offset: Int, _ kind: Kind) {
        self.offset = offset
        self.kind = kind
    }
}
