public import BowlineCore
internal import NIOCore

/// One connection that a ``LoopbackServer`` has accepted: what a script drives, in bytes and in HTTP terms.
///
/// A script is an async closure given to ``LoopbackServer/onConnection(_:)``. When it returns, the connection is closed
/// in order. What its functions throw when the client goes away ends the script quietly.
public final class LoopbackConnection: Sendable {
    /// What others may know about it, besides what can be read from the channel.
    struct Facts: Sendable {
        var requests = 0
        var completeRequests = 0
        var bytesReceived = 0
        var bytesSent = 0
        var endedAt: MonotonicInstant?
        var end: ConnectionEnd?
        var serverName: String?
        var applicationProtocol: String?
        var isEstablished = false
        var isHalfClosed = false
    }

    /// Its number, from 1, in the order in which connections were accepted.
    public let number: Int
    /// When it was accepted, on `MonotonicClock`.
    public let acceptedAt: MonotonicInstant
    /// The client's port; nil on a Unix domain socket.
    public let peerPort: Int?

    let channel: any Channel
    let server: LoopbackServer
    let inbound = Watched(Inbound())
    let facts = Guarded(Facts())

    init(number: Int, channel: any Channel, server: LoopbackServer) {
        self.number = number
        self.channel = channel
        self.server = server
        acceptedAt = MonotonicClock().now
        peerPort = channel.remoteAddress?.port
    }

    /// What is known about it now.
    public var record: ConnectionRecord {
        facts.withLock { facts in
            ConnectionRecord(
                number: number, acceptedAt: acceptedAt, endedAt: facts.endedAt, end: facts.end, peerPort: peerPort,
                requests: facts.completeRequests, bytesReceived: facts.bytesReceived, bytesSent: facts.bytesSent,
                serverName: facts.serverName, applicationProtocol: facts.applicationProtocol
            )
        }
    }

    /// Whether neither side has ended it.
    public var isOpen: Bool { facts.withLock { $0.end == nil } }

    /// Notes how it ended; only the first time counts.
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

/// The client has ended the connection while a script was not done with it.
struct ConnectionEnded: Error {}
