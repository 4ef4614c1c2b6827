/// One origin's connections at an instant. `opened` = `idle` + `active` + the sum of `closed`.
package struct PoolSnapshot: Sendable, Hashable {
    package var idle: Int
    /// Leased connections.
    package var active: Int
    /// Leases of connections with streams.
    package var streams = 0
    package var dialling: Int
    /// Requests that wait for a connection, those included for which one is being dialled.
    package var waiting: Int
    /// Dials that succeeded since the pool was made.
    package var opened: Int
    package var closed: [CloseReason: Int]
}
