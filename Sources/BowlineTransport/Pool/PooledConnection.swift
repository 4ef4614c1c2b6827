/// What the pool needs to know of a connection.
///
/// One with streams is leased to several users at once, as many as its capacity; any other to one.
protocol PooledConnection: AnyObject, Sendable {
    /// The name the dialer gave it.
    var id: ConnectionID { get }

    /// The event loop it lives on. Opaque to the pool, which only compares it, and constant.
    var affinity: Int { get }

    /// Whether it has streams. Constant.
    var isMultiplexed: Bool { get }

    /// How many leases it carries at once when it is established; 1 without streams, 0 or more with them. Changes are
    /// told with `connectionCapacityChanged`.
    var capacity: Int { get }

    /// No lease of it will be granted any more; those it has go on. It is closed with the last of them.
    ///
    /// - Parameter leases: How many it has had in all, those included whose users have not come yet.
    func retire(_ reason: CloseReason, leases: Int)

    /// A lease was granted whose user was cancelled before it had it: of the leases that `retire` counts, this one does not
    /// come to the connection. The pool has taken it back.
    func leaseUnused()

    /// Asks the peer for a sign of life, because another connection to it has gone silent. The pool gives no lease of the
    /// connection until `connectionConfirmed`; the connection closes itself when no answer comes in time. Called for
    /// connections with streams only.
    func probe()

    /// Closes the connection. Idempotent; called without the pool's lock, after the pool has forgotten the connection.
    func close(_ reason: CloseReason)
}
