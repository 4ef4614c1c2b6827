/// A proxy: its kind, its host and port, and the credentials that it asks for.
///
/// ```swift
/// let proxy = try Proxy("http://proxy.example.com:3128", credentials: ProxyCredentials(user: "app", password: secret))
/// ```
/// Most programs name a proxy by its URL in ``ProxyChoice``. Make a `Proxy` for ``ProxyChoice/custom(_:)``. The
/// description contains no credentials.
public struct Proxy: Sendable {
    /// How a client speaks to a proxy.
    public enum Kind: Sendable, Hashable {
        /// HTTP without TLS to the proxy. Requests for `http` URLs are sent in absolute form (RFC 9112 §3.2.2), other
        /// connections go through CONNECT (RFC 9110 §9.3.6).
        case http
        /// The same over TLS to the proxy.
        case https
        /// SOCKS version 5 (RFC 1928), for all connections.
        case socks5
    }

    private final class Storage: Sendable {
        let kind: Kind
        let host: String
        let port: Int
        let credentials: ProxyCredentials?
        let resolvesNames: Bool
        let hash: Int
        /// `scheme://host:port`.
        let description: String
        /// The value of `Proxy-Authorization`; nil: there are no credentials.
        let authorization: String?

        init(kind: Kind, host: String, port: Int, credentials: ProxyCredentials?, resolvesNames: Bool) {
            self.kind = kind
            self.host = host
            self.port = port
            self.credentials = credentials
            self.resolvesNames = resolvesNames
            var hasher = Hasher()
            hasher.combine(kind)
            hasher.combine(host)
            hasher.combine(port)
            hasher.combine(credentials)
            hasher.combine(resolvesNames)
            hash = hasher.finalize()
            let scheme =
                switch kind {
                case .http: "http"
                case .https: "https"
                case .socks5: resolvesNames ? "socks5h" : "socks5"
                }
            let bracketed = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
            description = "\(scheme)://\(bracketed):\(port)"
            authorization = credentials.map { BasicCredentials.fieldValue(user: $0.user, password: $0.password) }
        }
    }

    // One reference, with the hash: routes of requests contain a proxy, and they are compared for each request.
    private let storage: Storage

    init(kind: Kind, host: String, port: Int, credentials: ProxyCredentials?, resolvesNames: Bool) {
        storage = Storage(
            kind: kind, host: host, port: port, credentials: credentials, resolvesNames: resolvesNames)
    }

    /// How a client speaks to the proxy.
    public var kind: Kind { storage.kind }
    /// The proxy's host in lower case; an IPv6 address without brackets.
    public var host: String { storage.host }
    /// The proxy's port.
    public var port: Int { storage.port }
    /// The user and the password for the proxy; nil: none are sent.
    public var credentials: ProxyCredentials? { storage.credentials }
    /// Whether the proxy resolves the origins' names. False only for `socks5://`: then the client resolves them, and
    /// the proxy gets addresses.
    public var resolvesNames: Bool { storage.resolvesNames }
    /// The value of `Proxy-Authorization`; nil: there are no credentials.
    package var authorization: String? { storage.authorization }
}

extension Proxy: Hashable {
    /// Whether two proxies are the same: kind, host, port, credentials, and where names are resolved. Requests through
    /// different proxies never share a connection.
    public static func == (left: Proxy, right: Proxy) -> Bool {
        if left.storage === right.storage { return true }
        return left.storage.hash == right.storage.hash && left.kind == right.kind && left.port == right.port
            && left.host == right.host && left.resolvesNames == right.resolvesNames
            && left.credentials == right.credentials
    }

    /// Feeds the hash that was computed when the proxy was made.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(storage.hash)
    }
}

extension Proxy: CustomStringConvertible, CustomReflectable {
    /// `scheme://host:port`, without credentials.
    public var description: String { storage.description }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
