internal import BowlineCore

/// A connection leased for one use. The lease ends with `ConnectionPool.release`, `returnUnused` or `connectionClosed`.
struct Lease: Sendable {
    let connection: any HTTPConnection

    /// How many times the connection has been leased, including this lease.
    let uses: Int

    /// When the connection last became free. `nil`: it has not been free since its dial.
    ///
    /// Also set for a connection that was dialled in advance and has not carried a request yet. Such a connection may
    /// have died unnoticed, like a reused one. So the resend policy uses this property and not `isReused`.
    let idleSince: MonotonicInstant?

    /// Whether the connection has served a request before.
    var isReused: Bool {
        uses > 1
    }
}
