/// A connection as the pool sees it.
///
/// A multiplexed connection is leased several times at once, up to its capacity. Any other connection has at most one
/// lease at a time.
protocol PooledConnection: AnyObject, Sendable {
    /// The name that the dialer gave the connection.
    var id: ConnectionID { get }

    /// The event loop of the connection. Constant. The pool only compares it.
    var affinity: Int { get }

    /// Whether the connection has streams (HTTP/2). Constant.
    var isMultiplexed: Bool { get }

    /// How many leases the connection carries at once when it is established: 1 if it is not multiplexed, else 0 or
    /// more. The connection reports changes with `connectionCapacityChanged`.
    var capacity: Int { get }

    /// Announces that the pool grants no more leases of this connection. Its current leases go on. The connection
    /// closes when the last of them ends.
    ///
    /// - Parameter leases: How many leases it has had in total, including those whose requests have not arrived yet.
    func retire(_ reason: CloseReason, leases: Int)

    /// Announces that the pool has taken back a lease, because its caller was cancelled before it received the lease.
    /// No request arrives for this lease, although `retire` counts it.
    func leaseUnused()

    /// Probes the peer, because another connection to it has gone silent. The pool grants no lease of this connection
    /// until `connectionConfirmed`. The connection closes itself if no answer comes in time. Called only for
    /// multiplexed connections.
    func probe()

    /// Closes the connection. Idempotent. Called without the pool's lock, after the pool has forgotten the connection.
    func close(_ reason: CloseReason)
}
