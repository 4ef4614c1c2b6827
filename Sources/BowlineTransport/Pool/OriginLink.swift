internal import BowlineCore

/// The events that a connection reports to its pool. Called from any thread, without a lock.
protocol ConnectionOwner: AnyObject, Sendable {
    /// Reports that a lease has ended and the connection can carry another request.
    ///
    /// - Parameters:
    ///   - keepAliveTimeout: How long the server keeps an idle connection, if it said so.
    ///   - now: The clock's time, if the caller has just read it.
    func release(_ connection: any HTTPConnection, keepAliveTimeout: Duration?, now: MonotonicInstant?)

    /// Reports that a lease has ended without a byte written. The lease does not count as a use.
    func returnUnused(_ connection: any HTTPConnection)

    /// Reports that the connection is closed.
    func connectionClosed(_ id: ConnectionID, reason: CloseReason)

    /// Reports how many requests the connection carries at once from now on.
    func connectionCapacityChanged(_ id: ConnectionID, to capacity: Int)

    /// Reports that the connection takes no more requests. The connection closes after the requests that it carries.
    func connectionRetired(_ id: ConnectionID, reason: CloseReason)

    /// Reports that a request got no byte in time. The connection gets no new requests until it is confirmed.
    func connectionDoubted(_ id: ConnectionID)

    /// Reports that the peer of a doubted connection has answered.
    func connectionConfirmed(_ id: ConnectionID)
}

extension ConnectionPool: ConnectionOwner {}

/// The state that the connections of one route share: their options, and a weak reference to their pool. The pool may
/// be released before its connections close.
final class OriginLink: Sendable {
    let options: ConnectionOptions
    private let reference: Reference
    private var owner: (any ConnectionOwner)? { reference.owner }

    // A struct, because a `Sendable` class may not have a `weak var`, and `weak let` needs Swift 6.3.
    private struct Reference: Sendable {
        weak var owner: (any ConnectionOwner)?
    }

    init(options: ConnectionOptions, owner: (any ConnectionOwner)?) {
        self.options = options
        reference = Reference(owner: owner)
    }

    func release(_ connection: any HTTPConnection, keepAliveTimeout: Duration?, now: MonotonicInstant) {
        guard let owner else {
            connection.poolReleased()
            return
        }
        owner.release(connection, keepAliveTimeout: keepAliveTimeout, now: now)
    }

    func returnUnused(_ connection: any HTTPConnection) {
        guard let owner else {
            connection.poolReleased()
            return
        }
        owner.returnUnused(connection)
    }

    func closed(_ id: ConnectionID, _ reason: CloseReason) {
        owner?.connectionClosed(id, reason: reason)
    }

    func capacityChanged(_ id: ConnectionID, _ capacity: Int) {
        owner?.connectionCapacityChanged(id, to: capacity)
    }

    func retired(_ id: ConnectionID, _ reason: CloseReason) {
        owner?.connectionRetired(id, reason: reason)
    }

    func doubted(_ id: ConnectionID) {
        owner?.connectionDoubted(id)
    }

    func confirmed(_ id: ConnectionID) {
        owner?.connectionConfirmed(id)
    }
}
