internal import BowlineCore

/// The path of a connection: to an origin, directly or through a proxy. The key of a pool: connections over different
/// routes never serve each other's requests.
///
/// Events and metrics name the origin only. Errors of a dial also name the proxy.
struct Route: Sendable, Hashable {
    let origin: Origin
    /// nil: the client connects to the origin itself.
    let proxy: Proxy?

    init(_ origin: Origin, proxy: Proxy? = nil) {
        self.origin = origin
        self.proxy = proxy
    }

    /// Whether the proxy gets each request itself, in absolute form (RFC 9112 §3.2.2). False: the proxy opens a tunnel,
    /// or there is no proxy.
    var isForwarded: Bool {
        guard let proxy, origin.scheme == .http else { return false }
        return proxy.kind != .socks5
    }

    /// Whether the proxy opens a tunnel to the origin.
    var needsTunnel: Bool { proxy != nil && !isForwarded }

    /// Whether the bytes on the socket are encrypted, for the origin or for the proxy.
    var isEncrypted: Bool { origin.scheme == .https || proxy?.kind == .https }

    /// The value of `Proxy-Authorization` for each request; nil: the requests have no such field.
    var proxyAuthorization: String? {
        isForwarded ? proxy?.authorization : nil
    }

    static func == (left: Route, right: Route) -> Bool {
        left.origin == right.origin && left.proxy == right.proxy
    }

    func hash(into hasher: inout Hasher) {
        origin.hash(into: &hasher)
        if let proxy { hasher.combine(proxy) }
    }
}
