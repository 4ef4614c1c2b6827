internal import BowlineCore

/// The proxies that environment variables name.
///
/// Pure: the variables are read once, through a closure. A variable in lower case takes precedence over the same one in
/// capitals, and an empty one counts as not set. `Docs/Proxies.md` has the rules with examples.
struct EnvironmentProxies: Sendable {
    /// The value of a variable.
    private enum Setting: Sendable {
        case proxy(Proxy)
        case malformed(variable: String, reason: String)
    }

    private let http: Setting?
    private let https: Setting?
    private let exceptions: NoProxyRules
    /// Warnings for the log: which entries of `no_proxy` make no sense. Empty if no variable names a proxy.
    let warnings: [String]

    /// - Parameter variable: Looks up a variable of the environment.
    init(_ variable: (String) -> String?) {
        func firstSet(_ names: [String]) -> (name: String, value: String)? {
            for name in names {
                if let value = variable(name), !value.isEmpty { return (name, value) }
            }
            return nil
        }
        func setting(_ names: [String]) -> Setting? {
            firstSet(names).map { name, value in Self.setting(value, of: name) }
        }
        let other = setting(["all_proxy", "ALL_PROXY"])
        // A CGI program gets a request's field `Proxy` as the variable HTTP_PROXY (CVE-2016-5385, "httpoxy").
        let isCGI = variable("REQUEST_METHOD") != nil
        http = setting(isCGI ? ["http_proxy"] : ["http_proxy", "HTTP_PROXY"]) ?? other
        https = setting(["https_proxy", "HTTPS_PROXY"]) ?? other
        guard http != nil || https != nil, let (name, value) = firstSet(["no_proxy", "NO_PROXY"]) else {
            exceptions = NoProxyRules()
            warnings = []
            return
        }
        exceptions = NoProxyRules(value)
        warnings = Self.warnings(exceptions.ignored, of: name)
    }

    /// Whether no origin uses a proxy.
    var isDirect: Bool { (http == nil && https == nil) || exceptions.matchesAll }

    /// Whether a variable names a proxy over TLS.
    var mayUseTLS: Bool {
        [http, https].contains { if case .proxy(let proxy)? = $0 { proxy.kind == .https } else { false } }
    }

    /// Returns the proxy for requests to `origin`; nil: none.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration` if the variable for this origin names no usable proxy. The
    ///   message has the variable's name, and no part of its value.
    func proxy(for origin: Origin) throws -> Proxy? {
        guard let setting = origin.scheme == .http ? http : https else { return nil }
        guard origin.socketPath == nil, !Self.isLoopback(origin), !exceptions.matches(origin) else { return nil }
        switch setting {
        case .proxy(let proxy): return proxy
        case .malformed(let variable, let reason):
            throw ServiceError(
                .invalidConfiguration, "\(variable) in the environment names no usable proxy: \(reason)",
                origin: origin.description)
        }
    }

    private static func setting(_ value: String, of name: String) -> Setting {
        do {
            return .proxy(try Proxy(parsing: value, among: Proxy.Scheme.allCases, assuming: .http))
        } catch {
            return .malformed(variable: name, reason: error.reason)
        }
    }

    /// Whether the origin's host is `localhost`, a name below it (RFC 6761 §6.3), or a loopback address.
    private static func isLoopback(_ origin: Origin) -> Bool {
        if origin.isIPAddress { return IPAddress(origin.host)?.isLoopback == true }
        let name = origin.host.utf8.last == UInt8(ascii: ".") ? origin.host.dropLast() : origin.host[...]
        return NoProxyRules.isSame(name, orBelow: "localhost")
    }

    private static func warnings(_ ignored: [String], of name: String) -> [String] {
        guard !ignored.isEmpty else { return [] }
        // Bounds the line: each entry has at most 66 bytes.
        let listed = 8
        var text = ignored.prefix(listed).joined(separator: ", ")
        if ignored.count > listed { text += " and \(ignored.count - listed) more" }
        return ["\(name) in the environment has entries that are no host, address or network, and are ignored: \(text)"]
    }
}
