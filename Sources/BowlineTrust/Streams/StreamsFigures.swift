/// The actions of the peer, counted on one connection or on all.
struct StreamsFigures: Sendable, Hashable {
    var connections = 0
    /// Requests that arrived. A request that arrives again counts again.
    var arrived = 0
    var executed = 0
    /// Streams that were refused (REFUSED_STREAM).
    var refused = 0
    /// Streams above the last stream of a GOAWAY, which the peer ignored.
    var ignored = 0
    /// Connections on which the client used its last stream number.
    var exhausted = 0
    /// Connections that ended with a GOAWAY.
    var goAways = 0
    /// Connections that the peer reset without a GOAWAY.
    var cuts = 0
    /// Changes of SETTINGS_INITIAL_WINDOW_SIZE while streams were open.
    var windowChanges = 0
    /// Changes of SETTINGS_MAX_CONCURRENT_STREAMS.
    var limitChanges = 0
    /// How often the peer neither read nor wrote for a while.
    var pauses = 0

    static func += (all: inout StreamsFigures, one: StreamsFigures) {
        all.connections += one.connections
        all.arrived += one.arrived
        all.executed += one.executed
        all.refused += one.refused
        all.ignored += one.ignored
        all.exhausted += one.exhausted
        all.goAways += one.goAways
        all.cuts += one.cuts
        all.windowChanges += one.windowChanges
        all.limitChanges += one.limitChanges
        all.pauses += one.pauses
    }
}
