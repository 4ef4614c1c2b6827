/// The place of a service: scheme, host and port, and the socket's path if the service listens on a Unix domain socket.
///
/// Parsed once: name resolution, SNI, the `Host` field, the pool's key and comparisons of origins all use this one
/// value. Hosts are in lower case. A URL with an explicit default port has the same origin as a URL without a port. A
/// host with a trailing dot is a different host.
public struct Origin: Sendable {
    /// Whether connections are encrypted.
    public enum Scheme: String, Sendable, Hashable {
        /// Not encrypted.
        case http
        /// TLS.
        case https

        /// 80 or 443.
        public var defaultPort: Int { self == .http ? 80 : 443 }
    }

    private final class Storage: Sendable {
        let scheme: Scheme
        let host: String
        let port: Int
        let socketPath: String?
        let isIPAddress: Bool
        let authority: String
        let hash: Int

        init(scheme: Scheme, host: String, port: Int, socketPath: String?, isIPAddress: Bool) {
            self.scheme = scheme
            self.host = host
            self.port = port
            self.socketPath = socketPath
            self.isIPAddress = isIPAddress
            let withoutZone = host.prefix { $0 != "%" }
            let bracketed = host.utf8.contains(UInt8(ascii: ":")) ? "[\(withoutZone)]" : host
            authority = port == scheme.defaultPort ? bracketed : "\(bracketed):\(port)"
            var hasher = Hasher()
            hasher.combine(scheme)
            hasher.combine(host)
            hasher.combine(port)
            // `String` takes texts that differ only in their normal form as equal. The system does not.
            hasher.combine(socketPath.map { Array($0.utf8) })
            hash = hasher.finalize()
        }
    }

    private let storage: Storage

    init(scheme: Scheme, host: String, port: Int, socketPath: String?, isIPAddress: Bool) {
        storage = Storage(
            scheme: scheme, host: host, port: port, socketPath: socketPath, isIPAddress: isIPAddress
        )
    }

    /// Whether connections are encrypted.
    public var scheme: Scheme { storage.scheme }
    /// The host in lower case; an IPv6 address without brackets.
    public var host: String { storage.host }
    /// The port; the scheme's default port if the URL has none.
    public var port: Int { storage.port }
    /// The path of the Unix domain socket; nil: the service does not listen on such a socket.
    public var socketPath: String? { storage.socketPath }
    /// Whether ``host`` is an IPv4 or IPv6 address rather than a name.
    public var isIPAddress: Bool { storage.isIPAddress }
    /// The host and the port, even if it is the default port: the target of CONNECT (RFC 9112 §3.2.3).
    package var authorityWithPort: String { port == scheme.defaultPort ? "\(authority):\(port)" : authority }
    /// The beginning of this origin's URLs: the scheme, `://` and the authority, or the socket's path percent-encoded.
    var urlPrefix: String {
        if let socketPath { return "\(scheme.rawValue)+unix://\(PercentEncoding.segment(socketPath))" }
        guard let zone = host.firstIndex(of: "%") else { return "\(scheme.rawValue)://\(authority)" }
        // RFC 6874: the separator of an IPv6 zone is percent-encoded.
        let address = "[\(host[..<zone])%25\(host[host.index(after: zone)...])]"
        return "\(scheme.rawValue)://\(address)" + (port == scheme.defaultPort ? "" : ":\(port)")
    }
    /// The value of the `Host` field: the host, and the port unless it is the scheme's default (RFC 9110 §7.2).
    public var authority: String { storage.authority }
}

extension Origin: Hashable {
    /// Whether two origins are the same place: scheme, host, port and socket path. Paths are compared by their bytes.
    public static func == (left: Origin, right: Origin) -> Bool {
        if left.storage === right.storage { return true }
        return left.storage.hash == right.storage.hash && left.scheme == right.scheme && left.port == right.port
            && left.host == right.host && isSamePath(left.socketPath, right.socketPath)
    }

    private static func isSamePath(_ left: String?, _ right: String?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        return left.hasBytes(of: right)
    }

    /// Identifies this value and its copies. Equal origins that were made apart have other identities.
    package var identity: ObjectIdentifier { ObjectIdentifier(storage) }

    /// The hash, computed when the origin was made.
    package var storedHash: Int { storage.hash }

    /// Feeds the hash that was computed when the origin was made.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(storage.hash)
    }
}

extension Origin: CustomStringConvertible {
    /// `scheme://host:port`, or `scheme+unix:path`.
    public var description: String {
        if let socketPath { return "\(scheme.rawValue)+unix:\(socketPath)" }
        let bracketed = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return "\(scheme.rawValue)://\(bracketed):\(port)"
    }
}
