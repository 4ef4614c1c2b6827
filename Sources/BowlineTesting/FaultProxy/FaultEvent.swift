/// Which way bytes go through a ``FaultProxy``.
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
    /// In order: each peer reads the end of the stream.
    ///
    /// What a peer sends afterwards is read and dropped for a second; then the socket is closed.
    case fin
    /// With RST: each peer's next read or write fails with `ECONNRESET` or `EPIPE`.
    ///
    /// Bytes that passed before are lost if the peer's kernel has not taken them yet, as on a network.
    case reset
}

/// One thing that a ``FaultProxy`` does when so many bytes of a direction have passed.
///
/// An event at byte n happens as soon as byte n has passed, not when the byte after it arrives; one at 0 happens as soon as
/// the server has been dialed. It does not happen if the direction ends before. Events of one offset happen in the order in
/// which they are listed.
public struct FaultEvent: Sendable, Hashable {
    /// What happens.
    public enum Kind: Sendable, Hashable {
        /// Both sockets are ended.
        case cut(FaultCut)
        /// The receiver of this direction reads its end; the other direction goes on. What the sender still sends is dropped.
        case halfClose
        /// Nothing passes in this direction for so long; then it goes on. Zero or less is no pause.
        case pause(Duration)
        /// Nothing passes any more in this direction, not even its end; both sockets stay open. ``FaultProxy/resume()`` ends it.
        case silence
        /// Nothing passes any more in either direction; see `silence`.
        case silenceBoth
        /// The next so many bytes of the sender are not passed on. Zero or less is none.
        case swallow(Int)
        /// The next so many bytes of the sender are passed on, then the same bytes once more. Zero or less is none.
        ///
        /// More than 65,536 bytes are repeated in blocks of that many.
        case duplicate(Int)
        /// The next so many bytes of the sender are passed on with each bit flipped. Zero or less is none.
        case corrupt(Int)
    }

    /// After how many bytes of the sender it happens, from 0; a negative one counts as 0.
    ///
    /// Bytes that were swallowed count, and bytes that were duplicated count once.
    public var offset: Int
    /// What happens.
    public var kind: Kind

    /// Makes an event.
    public init(at offset: Int, _ kind: Kind) {
        self.offset = offset
        self.kind = kind
    }
}
