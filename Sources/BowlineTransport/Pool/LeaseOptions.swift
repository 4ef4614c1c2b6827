internal import BowlineCore

/// What a request asks of the connection it is given, and how long it waits for one.
struct LeaseOptions: Sendable {
    /// The event loop the connection had better live on, or `nil` for any. A preference only.
    var affinity: Int?
    /// Whether only a connection will do that was dialled after the request and has never been idle.
    var requiresFresh = false
    /// When to stop waiting, whatever `maximumWait` says. `nil`: no such instant.
    var deadline: MonotonicInstant?
    /// How long to wait for a connection of others. A request for which a dial is under way when this has passed waits for
    /// the dial's end instead. `nil`: no limit.
    var maximumWait: Duration?
}
