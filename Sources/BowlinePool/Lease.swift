/// A connection handed out for one use. It ends with `ConnectionPool.release`, `returnUnused` or `connectionClosed`.
package struct Lease<Connection: Sendable, Instant: Sendable>: Sendable {
    package let connection: Connection

    /// How many times the connection has been handed out, this time included.
    package let uses: Int

    /// When the connection last became free, `nil` when it comes straight from its dial.
    ///
    /// Also set for a connection that was dialled in advance and has not served anybody yet: it may have gone stale
    /// just as well as a reused one, so resends ask this rather than `isReused`.
    package let idleSince: Instant?

    /// Whether the connection has served a request before.
    package var isReused: Bool {
        uses > 1
    }
}
