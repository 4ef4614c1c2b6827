/// Which proxy a client uses for a request: the environment's, none, a fixed one, or the one that a closure returns.
///
/// ```swift
/// let client = try ServiceClient(baseURL: "https://api.example.com") {
///     $0.proxy = .http("http://proxy.example.com:3128")
/// }
/// ```
/// A URL that names no usable proxy is a problem of the configuration: the client cannot be made. Only requests to Unix
/// domain sockets never use a proxy. `Docs/Proxies.md` has all rules with examples. The description contains no
/// credentials.
public struct ProxyChoice: Sendable, Equatable {
    package enum Rule: Sendable, Equatable {
        case environment
        case direct
        case fixed(Proxy)
        /// The URL names no usable proxy.
        case malformed(reason: String)
        case custom(Custom)
    }

    /// The closure of ``custom(_:)``, compared by identity.
    package final class Custom: Sendable, Equatable {
        package let choose: @Sendable (ServiceURL) throws -> Proxy?

        init(_ choose: @escaping @Sendable (ServiceURL) throws -> Proxy?) {
            self.choose = choose
        }

        package static func == (left: Custom, right: Custom) -> Bool { left === right }
    }

    package let rule: Rule

    private init(_ rule: Rule) {
        self.rule = rule
    }

    private init(parsing url: String, among schemes: [Proxy.Scheme], assuming assumed: Proxy.Scheme?) {
        do {
            rule = .fixed(try Proxy(parsing: url, among: schemes, assuming: assumed))
        } catch {
            rule = .malformed(reason: error.reason)
        }
    }

    /// The proxies of the environment variables `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, in lower case
    /// or in capitals. They are read when the client is made. Loopback origins never use such a proxy. This is the
    /// default.
    public static let environment = ProxyChoice(.environment)

    /// No proxy. The environment variables are not read.
    public static let none = ProxyChoice(.direct)

    /// An HTTP proxy without TLS, for all origins, also for loopback ones.
    ///
    /// - Parameter url: `http://host:port`, or `host:port`. The port defaults to 80.
    public static func http(_ url: String) -> ProxyChoice {
        ProxyChoice(parsing: url, among: [.http], assuming: .http)
    }

    /// An HTTP proxy over TLS, for all origins, also for loopback ones.
    ///
    /// - Parameter url: `https://host:port`, or `host:port`. The port defaults to 443.
    public static func https(_ url: String) -> ProxyChoice {
        ProxyChoice(parsing: url, among: [.https], assuming: .https)
    }

    /// A SOCKS5 proxy, for all origins, also for loopback ones.
    ///
    /// - Parameter url: `socks5h://host:port` or `host:port`: the proxy resolves names. `socks5://host:port`: the
    ///   client resolves names. The port defaults to 1080.
    public static func socks5(_ url: String) -> ProxyChoice {
        ProxyChoice(parsing: url, among: [.socks5, .socks5h], assuming: .socks5h)
    }

    /// A proxy of any kind, for all origins, also for loopback ones. For a URL that the program reads from elsewhere.
    ///
    /// - Parameter url: As for ``Proxy/init(_:credentials:)``; `host:port` without a scheme means `http://`.
    public static func url(_ url: String) -> ProxyChoice {
        ProxyChoice(parsing: url, among: Proxy.Scheme.allCases, assuming: .http)
    }

    /// The proxy that a closure returns for a request's URL; nil: none.
    ///
    /// The closure is called for each attempt and each hop of a redirect, also for loopback origins, but not for Unix
    /// domain sockets. It must not block. If it throws a ``ServiceError``, the attempt fails with this error. If it
    /// throws another error, the attempt fails with `invalidConfiguration`, and `underlying` is the closure's error. A
    /// connection that is dialled ahead (prewarmed) belongs to no request: for it, the URL has the path `/`.
    ///
    /// - Parameter choose: Returns the proxy. The URL contains the query, which may contain secrets.
    public static func custom(_ choose: @escaping @Sendable (_ url: ServiceURL) throws -> Proxy?) -> ProxyChoice {
        ProxyChoice(.custom(Custom(choose)))
    }

    /// Returns the problem of the choice, if there is one.
    package func problems(at path: String) -> [ConfigurationProblem] {
        guard case .malformed(let reason) = rule else { return [] }
        return [ConfigurationProblem(path, reason)]
    }
}

extension ProxyChoice {
    /// The choice that a configuration file names: `environment`, `none`, or the URL of a proxy.
    ///
    /// A proxy needs a scheme here: otherwise a misspelt word would be the host of a proxy.
    package init(configured text: String) throws(Proxy.Malformed) {
        switch text {
        case "environment": rule = .environment
        case "none": rule = .direct
        default:
            guard text.utf8.contains(UInt8(ascii: ":")) else {
                throw Proxy.Malformed("must be environment, none, or a proxy's URL")
            }
            rule = .fixed(try Proxy(parsing: text, among: Proxy.Scheme.allCases, assuming: nil))
        }
    }
}

extension ProxyChoice: CustomStringConvertible, CustomReflectable {
    /// The name of the choice, or the proxy without its credentials.
    public var description: String {
        switch rule {
        case .environment: "environment"
        case .direct: "none"
        case .fixed(let proxy): proxy.description
        case .malformed: "malformed"
        case .custom: "custom"
        }
    }

    public var customMirror: Mirror { Mirror(self, children: [:], displayStyle: .enum) }
}
