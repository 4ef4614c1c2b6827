/// What the pool needs to know of a connection.
///
/// A connection is leased to one user at a time. (A protocol with streams would lease it several times at once; that
/// changes what the machine counts, not this protocol.)
@usableFromInline
package protocol PooledConnection: AnyObject, Sendable {
    /// The name the dialer gave it.
    var id: ConnectionID { get }

    /// The event loop it lives on. Opaque to the pool, which only compares it, and constant.
    var affinity: Int { get }

    /// Closes the connection. Idempotent; called without the pool's lock, after the pool has forgotten the connection.
    func close(_ reason: CloseReason)
}
