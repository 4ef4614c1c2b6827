internal import BowlineCore

/// Which connection a request needs, and how long it waits for one.
struct LeaseOptions: Sendable {
    /// The preferred event loop of the connection, or `nil` for any. Only a preference.
    var affinity: Int?
    /// Whether the connection must have been dialled after the request came, and must never have been idle.
    var requiresFresh = false
    /// When to stop waiting, whatever `maximumWait` says. `nil`: no deadline.
    var deadline: MonotonicInstant?
    /// How long to wait for a connection in use to become free. If a dial is under way for the request when this time
    /// has passed, the request waits for the end of the dial instead. `nil`: no limit.
    var maximumWait: Duration?
}
