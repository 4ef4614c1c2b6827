internal import BowlineCore

/// The path of a connection: to an origin, directly or through a proxy. The key of a pool: connections over different
/// routes never serve each other's requests.
///
/// Events, metrics and errors name the origin only; see ``Origin``.
struct Route: Sendable, Hashable {
    let origin: Origin
    /// nil: the client connects to the origin itself.
    let proxy: RouteProxy?

    init(_ origin: Origin, proxy: RouteProxy? = nil) {
        self.origin = origin
        self.proxy = proxy
    }

    static func == (left: Route, right: Route) -> Bool {
        left.origin == right.origin && left.proxy == right.proxy
    }

    func hash(into hasher: inout Hasher) {
        origin.hash(into: &hasher)
        if let proxy { hasher.combine(proxy) }
    }

    /// Whether the proxy receives each request itself, in absolute form (RFC 9112 §3.2.2), and not a tunnel.
    var isForwarded: Bool {
        guard let proxy, origin.scheme == .http else { return false }
        return proxy.value.kind != .socks5
    }

    /// Whether the first step after the connect opens a tunnel through the proxy.
    var needsTunnel: Bool { proxy != nil && !isForwarded }

    /// Whether bytes on the socket are encrypted, for the origin or for the proxy.
    var isEncrypted: Bool { origin.scheme == .https || proxy?.value.kind == .https }
}

/// A proxy of a route. A reference, so that a direct route stays small.
final class RouteProxy: Sendable, Hashable {
    let value: Proxy
    /// The proxy's URL without credentials.
    let description: String
    /// The value of `Proxy-Authorization`; nil: there are no credentials.
    let authorization: String?

    init(_ value: Proxy) {
        self.value = value
        description = value.description
        authorization = value.credentials?.basicAuthorization
    }

    static func == (left: RouteProxy, right: RouteProxy) -> Bool {
        left === right || left.value == right.value
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(value)
    }
}
