internal import BowlineCore

/// The path of a connection: to an origin, directly, through a proxy, or to one address of the origin's host. The key
/// of a pool: connections over different routes never serve each other's requests.
///
/// Events and metrics name the origin only. Errors of a dial also name the proxy or the address.
/// `Docs/Decisions/one-pool-per-address.md` says why TLS options, sockets and protocols are no part of a route.
struct Route: Sendable, Hashable {
    /// What leads to the origin. One word, because routes of requests are copied and compared for each request.
    private enum Way: Sendable {
        /// The client connects to an address of the host that the dial chooses.
        case direct
        case proxy(Proxy)
        /// The client connects to the address of the placement. The placement is the reference that the request has
        /// already, so that its route allocates nothing.
        case address(AttemptPlacement)
    }

    let origin: Origin
    private let way: Way

    /// Makes the route of a request.
    ///
    /// - Parameters:
    ///   - proxy: nil: the client connects to the origin itself.
    ///   - placement: Its address counts only if the client itself finds the addresses of the host: there is no proxy,
    ///     and the origin's host is a name.
    init(_ origin: Origin, proxy: Proxy? = nil, placement: AttemptPlacement? = nil) {
        self.origin = origin
        if let proxy {
            way = .proxy(proxy)
        } else if let placement, placement.address != nil, origin.hasNamedHost {
            way = .address(placement)
        } else {
            way = .direct
        }
    }

    /// Makes the route to one address of the origin's host.
    init(_ origin: Origin, address: IPAddress) {
        self.init(origin, placement: AttemptPlacement(address: address))
    }

    /// nil: the client connects to the origin itself.
    var proxy: Proxy? {
        if case .proxy(let proxy) = way { proxy } else { nil }
    }

    /// The only address to which the client connects; nil: the dial chooses one of the host's addresses.
    var address: IPAddress? {
        if case .address(let placement) = way { placement.address } else { nil }
    }

    /// Whether the proxy gets each request itself, in absolute form (RFC 9112 §3.2.2). False: the proxy opens a tunnel,
    /// or there is no proxy.
    var isForwarded: Bool {
        guard case .proxy(let proxy) = way, origin.scheme == .http else { return false }
        return proxy.kind != .socks5
    }

    /// Whether the proxy opens a tunnel to the origin.
    var needsTunnel: Bool {
        if case .proxy = way { !isForwarded } else { false }
    }

    /// Whether the bytes on the socket are encrypted, for the origin or for the proxy.
    var isEncrypted: Bool { origin.scheme == .https || proxy?.kind == .https }

    /// The value of `Proxy-Authorization` for each request; nil: the requests have no such field.
    var proxyAuthorization: String? {
        isForwarded ? proxy?.authorization : nil
    }

    static func == (left: Route, right: Route) -> Bool {
        guard left.origin == right.origin else { return false }
        return switch (left.way, right.way) {
        case (.direct, .direct): true
        case (.proxy(let left), .proxy(let right)): left == right
        case (.address(let left), .address(let right)): left === right || left.address == right.address
        case (.direct, _), (.proxy, _), (.address, _): false
        }
    }

    func hash(into hasher: inout Hasher) {
        origin.hash(into: &hasher)
        switch way {
        case .direct: break
        case .proxy(let proxy): hasher.combine(proxy)
        case .address(let placement): hasher.combine(placement.address)
        }
    }
}

extension Origin {
    /// Whether the host is a name, whose addresses a client looks up. False: it is an IP address, or the origin is a
    /// Unix domain socket.
    var hasNamedHost: Bool { !isIPAddress && socketPath == nil }
}
