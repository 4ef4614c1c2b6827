/// The connections of a client's pool at one moment.
public struct PoolSnapshot: Sendable {
    /// The origins that have a pool now, by name. Origins that have gone cold are not here.
    public let origins: [OriginPoolSnapshot]
    /// Connections opened since the client was made, also of origins that have gone cold.
    public let opened: Int
    /// Connections closed since the client was made, by reason; `Docs/ConnectionReuse.md` explains each reason.
    public let closed: [String: Int]

    package init(origins: [OriginPoolSnapshot], opened: Int, closed: [String: Int]) {
        self.origins = origins
        self.opened = opened
        self.closed = closed
    }

    /// Unused connections over all origins.
    public var idle: Int { origins.reduce(0) { $0 + $1.idle } }
    /// Connections in use over all origins.
    public var active: Int { origins.reduce(0) { $0 + $1.active } }
    /// Dials under way over all origins.
    public var dialling: Int { origins.reduce(0) { $0 + $1.dialling } }
    /// Requests that wait for a connection over all origins.
    public var waiting: Int { origins.reduce(0) { $0 + $1.waiting } }
    /// Requests on connections that carry several at once (HTTP/2) over all origins.
    public var streams: Int { origins.reduce(0) { $0 + $1.streams } }
}

/// The connections of one origin's pool at one moment.
public struct OriginPoolSnapshot: Sendable {
    /// Whose pool it is.
    public let origin: Origin
    /// Connections that are open and unused.
    public let idle: Int
    /// Connections that carry a request.
    public let active: Int
    /// Dials under way.
    public let dialling: Int
    /// Requests that wait for a connection.
    public let waiting: Int
    /// Requests on connections that carry several at once (HTTP/2).
    public let streams: Int
    /// Connections opened since the pool was made.
    public let opened: Int
    /// Connections closed since the pool was made, by reason.
    public let closed: [String: Int]

    package init(
        origin: Origin, idle: Int, active: Int, dialling: Int, waiting: Int, streams: Int = 0, opened: Int,
        closed: [String: Int]
    ) {
        self.origin = origin
        self.idle = idle
        self.active = active
        self.dialling = dialling
        self.waiting = waiting
        self.streams = streams
        self.opened = opened
        self.closed = closed
    }
}

extension PoolSnapshot: CustomStringConvertible {
    /// The figures over all origins, in one line.
    public var description: String {
        let reasons = closed.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return "\(opened) opened, \(active) active, \(idle) idle, \(dialling) dialling, \(waiting) waiting; closed: "
            + (reasons.isEmpty ? "none" : reasons)
    }
}
