public import BowlineCore
internal import NIOCore

/// One connection that a ``LoopbackServer`` has accepted. A script receives and sends bytes or HTTP messages on it. A
/// script is an async closure given to ``LoopbackServer/onConnection(_:)``. When the script returns or throws, the
/// server closes the connection in order. A script need not catch the errors that these methods throw when the
/// connection has ended: the server does not record them as problems.
public final class LoopbackConnection: Sendable {
    /// The facts of the connection that the channel does not provide.
    struct Facts: Sendable {
        var requests = 0
        var completeRequests = 0
        var bytesReceived = 0
        var bytesSent = 0
        var endedAt: MonotonicInstant?
        var end: ConnectionEnd?
        var serverName: String?
        var applicationProtocol: String?
        var clientCertificate: [UInt8]?
        var isEstablished = false
        var isHalfClosed = false
    }

    /// The connection's number, from 1, in the order of acceptance.
    public let number: Int
    /// When the server accepted it, on `MonotonicClock`.
    public let acceptedAt: MonotonicInstant
    /// The client's port; nil on a Unix domain socket.
    public let peerPort: Int?

    let channel: any Channel
    let server: LoopbackServer
    let inbound = Waitable(Inbound())
    let facts = Guarded(Facts())

    init(number: Int, channel: any Channel, server: LoopbackServer) {
        self.number = number
        self.channel = channel
        self.server = server
        acceptedAt = MonotonicClock().now
        peerPort = channel.remoteAddress?.port
    }

    /// The connection's present record.
    public var record: ConnectionRecord {
        facts.withLock { facts in
            ConnectionRecord(
                number: number, acceptedAt: acceptedAt, endedAt: facts.endedAt, end: facts.end, peerPort: peerPort,
                requests: facts.completeRequests, bytesReceived: facts.bytesReceived, bytesSent: facts.bytesSent,
                serverName: facts.serverName, applicationProtocol: facts.applicationProtocol,
                clientCertificate: facts.clientCertificate
            )
        }
    }

    /// Whether neither side has ended the connection.
    public var isOpen: Bool { facts.withLock { $0.end == nil } }

    /// Records how the connection ended. Only the first call has an effect.
    func ended(_ end: ConnectionEnd) {
        let isFirst = facts.withLock { facts in
            guard facts.end == nil else { return false }
            facts.end = end
            facts.endedAt = MonotonicClock().now
            return true
        }
        guard isFirst else { return }
        inbound.withLock { $0.end = end }
        server.journal.withLock { $0.ended(self) }
    }
}

/// The error of a script that uses a connection after the client has ended it.
struct ConnectionEnded: Error {}
