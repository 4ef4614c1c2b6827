/// The numbers of one route's connections at an instant. `opened` = `idle` + `active` + the sum of `closed`.
struct PoolCounts: Sendable, Hashable {
    var idle: Int
    /// Leased connections.
    var active: Int
    /// Leases of multiplexed connections.
    var streams = 0
    var dialling: Int
    /// Requests that wait for a connection, including those for which one is being dialled.
    var waiting: Int
    /// Dials that have succeeded since the pool was made.
    var opened: Int
    var closed: [CloseReason: Int]
}
