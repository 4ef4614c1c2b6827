/// The connections of a client's pool at one moment.
public struct PoolSnapshot: Sendable {
    /// The origins that have a pool now, sorted by name. The pool of an origin with no connection, dial or waiting
    /// request is removed, so that origin is not included. An origin has several entries if its requests use several
    /// proxies, or if they are balanced over the addresses of the host.
    public let origins: [OriginPoolSnapshot]
    /// Connections opened since the client was made, including connections of pools that were removed.
    public let opened: Int
    /// Connections closed since the client was made, by reason; `Docs/ConnectionReuse.md` explains each reason.
    public let closed: [String: Int]

    package init(origins: [OriginPoolSnapshot], opened: Int, closed: [String: Int]) {
        self.origins = origins
        self.opened = opened
        self.closed = closed
    }

    /// Unused connections of all origins.
    public var idle: Int { origins.reduce(0) { $0 + $1.idle } }
    /// Connections in use, of all origins.
    public var active: Int { origins.reduce(0) { $0 + $1.active } }
    /// Dials in progress, of all origins.
    public var dialling: Int { origins.reduce(0) { $0 + $1.dialling } }
    /// Requests that wait for a connection, of all origins.
    public var waiting: Int { origins.reduce(0) { $0 + $1.waiting } }
    /// Requests in flight on HTTP/2 connections, which carry several requests at once, of all origins.
    public var streams: Int { origins.reduce(0) { $0 + $1.streams } }
}

/// The connections of one pool at one moment. An origin has one pool for each of its routes: directly, through a proxy,
/// or to one address of its host.
public struct OriginPoolSnapshot: Sendable {
    /// The origin that the pool belongs to.
    public let origin: Origin
    /// The proxy of the pool's connections, without credentials; nil: the connections are direct.
    public let proxy: String?
    /// The only address of the host to which the pool connects; nil: each dial chooses the address. Set only if requests
    /// are balanced over the addresses of the host.
    public let address: IPAddress?
    /// Connections that are open and unused.
    public let idle: Int
    /// Connections that carry a request.
    public let active: Int
    /// Dials in progress.
    public let dialling: Int
    /// Requests that wait for a connection.
    public let waiting: Int
    /// Requests in flight on HTTP/2 connections, which carry several requests at once.
    public let streams: Int
    /// Connections opened since the pool was made.
    public let opened: Int
    /// Connections closed since the pool was made, by reason.
    public let closed: [String: Int]

    package init(
        origin: Origin, proxy: String? = nil, address: IPAddress? = nil, idle: Int, active: Int, dialling: Int,
        waiting: Int, streams: Int = 0, opened: Int, closed: [String: Int]
    ) {
        self.origin = origin
        self.proxy = proxy
        self.address = address
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
    /// The totals of all origins, in one line.
    public var description: String {
        let reasons = closed.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return "\(opened) opened, \(active) active, \(idle) idle, \(dialling) dialling, \(waiting) waiting; closed: "
            + (reasons.isEmpty ? "none" : reasons)
    }
}
