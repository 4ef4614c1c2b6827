internal import BowlineCore

/// A connection handed out for one use. It ends with `ConnectionPool.release`, `returnUnused` or `connectionClosed`.
struct Lease: Sendable {
    let connection: any HTTPConnection

    /// How many times the connection has been handed out, this time included.
    let uses: Int

    /// When the connection last became free, `nil` when it comes straight from its dial.
    ///
    /// Also set for a connection that was dialled in advance and has not carried a request yet: it may have gone stale
    /// just as well as a reused one, so resends ask this rather than `isReused`.
    let idleSince: MonotonicInstant?

    /// Whether the connection has served a request before.
    var isReused: Bool {
        uses > 1
    }
}
