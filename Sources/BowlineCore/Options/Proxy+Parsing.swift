extension Proxy {
    /// Why a text names no usable proxy. Contains no part of the text, because the text may contain a password.
    package struct Malformed: Error, Hashable, Sendable {
        package let reason: String

        init(_ reason: String) {
            self.reason = reason
        }
    }

    /// The schemes of proxies' URLs.
    package enum Scheme: String, CaseIterable, Sendable {
        case http, https
        /// The client resolves the origins' names.
        case socks5
        /// The proxy resolves the origins' names.
        case socks5h

        var kind: Kind {
            switch self {
            case .http: .http
            case .https: .https
            case .socks5, .socks5h: .socks5
            }
        }

        /// The port of a URL without a port: 80, 443 or 1080.
        ///
        /// Go's `net/http` has the same defaults. curl takes 1080 for `http://` too. We do not follow it: by RFC 9110
        /// §4.2.1 an `http` URL without a port means port 80, and 1080 is the port of SOCKS alone.
        var defaultPort: Int {
            switch self {
            case .http: 80
            case .https: 443
            case .socks5, .socks5h: 1080
            }
        }
    }

    /// Parses a proxy's URL.
    ///
    /// Schemes: `http`, `https`, `socks5h` (the proxy resolves names) and `socks5` (the client resolves names). Ports
    /// default to 80, 443 and 1080. User and password stand before the host and an `@`, percent-encoded. A path other
    /// than `/`, a query and a fragment are refused.
    ///
    /// - Parameters:
    ///   - url: The URL, for example `http://user:password@proxy.example.com:3128` or `socks5h://[2001:db8::1]`.
    ///   - credentials: User and password, not percent-encoded, in place of those in the URL; nil: those in the URL.
    /// - Throws: ``ServiceError`` with code `invalidConfiguration`. The message says which part is wrong, and contains
    ///   no part of the URL.
    public init(_ url: String, credentials: ProxyCredentials? = nil) throws {
        do {
            self = try Proxy(parsing: url, among: Scheme.allCases, assuming: nil, credentials: credentials)
        } catch {
            throw ServiceError(
                .invalidConfiguration, "proxy: \(error.reason)",
                underlying: ConfigurationProblems(problems: [ConfigurationProblem("proxy", error.reason)]))
        }
    }

    /// Parses a proxy's URL, or `host:port`.
    ///
    /// - Parameters:
    ///   - schemes: The schemes that the URL may have.
    ///   - assumed: The scheme of a text without one; nil: the text must have a scheme.
    package init(
        parsing text: String, among schemes: [Scheme], assuming assumed: Scheme?, credentials: ProxyCredentials? = nil
    ) throws(Malformed) {
        for byte in text.utf8 where byte < 0x20 || byte == 0x7F {
            throw Malformed("URL has a control character (byte \(byte))")
        }
        // A text from the C library has this character in place of bytes that are not UTF-8.
        guard !text.unicodeScalars.contains("\u{FFFD}") else { throw Malformed("URL has bytes that are not UTF-8") }
        let (scheme, rest) = try Self.splitScheme(text, among: schemes, assuming: assumed)
        let (userInformation, place) = try Self.splitAuthority(rest)
        let origin = try Self.origin(place, scheme: scheme)
        var credentials = credentials
        if let userInformation, credentials == nil { credentials = try Self.credentials(userInformation) }
        if let problem = credentials?.problem(for: scheme.kind) { throw Malformed(problem) }
        self.init(
            kind: scheme.kind, host: origin.host, port: origin.port, credentials: credentials,
            resolvesNames: scheme != .socks5)
    }

    private static func splitScheme(
        _ text: String, among schemes: [Scheme], assuming assumed: Scheme?
    ) throws(Malformed) -> (Scheme, Substring) {
        let names = schemes.map { "\($0.rawValue)://" }.joined(separator: " or ")
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), text.utf8[colon...].starts(with: "://".utf8)
        else {
            guard let assumed else { throw Malformed("URL must begin with \(names)") }
            return (assumed, text[...])
        }
        guard let scheme = Scheme(rawValue: text[..<colon].lowercased()) else {
            throw Malformed("URL has an unknown scheme: it must begin with \(names)")
        }
        guard schemes.contains(scheme) else { throw Malformed("URL must begin with \(names)") }
        return (scheme, text[text.utf8.index(colon, offsetBy: 3)...])
    }

    /// Returns the user information, if there is an `@`, and the host with its port.
    private static func splitAuthority(_ text: Substring) throws(Malformed) -> (Substring?, Substring) {
        let marks: [UInt8] = [UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#")]
        let end = text.utf8.firstIndex(where: marks.contains) ?? text.endIndex
        let (authority, target) = (text[..<end], text[end...])
        guard !target.utf8.contains(UInt8(ascii: "@")) else {
            throw Malformed("URL has a /, ? or # before its @: percent-encode it in user and password")
        }
        guard !authority.utf8.contains(UInt8(ascii: "\\")) else {
            throw Malformed("URL has a backslash: percent-encode it in user and password")
        }
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        guard path.count <= 1 else { throw Malformed("URL has a path, which a proxy cannot have") }
        if let mark = target.utf8.dropFirst(path.count).first {
            let part = mark == UInt8(ascii: "?") ? "query" : "fragment"
            throw Malformed("URL has a \(part), which a proxy cannot have")
        }
        // The last one, as in curl and Go: a user may be an e-mail address.
        guard let at = authority.utf8.lastIndex(of: UInt8(ascii: "@")) else { return (nil, authority) }
        return (authority[..<at], authority[authority.utf8.index(after: at)...])
    }

    private static func origin(_ place: Substring, scheme: Scheme) throws(Malformed) -> Origin {
        do {
            return try Origin(authority: place, scheme: .http, defaultPort: scheme.defaultPort)
        } catch {
            throw Malformed((error as? ServiceError)?.message ?? "URL's host cannot be used")
        }
    }

    /// Returns the credentials in the user information of a URL; nil: it is empty.
    private static func credentials(_ text: Substring) throws(Malformed) -> ProxyCredentials? {
        guard !text.isEmpty else { return nil }
        let colon = text.utf8.firstIndex(of: UInt8(ascii: ":"))
        let password = colon.map { text[text.utf8.index(after: $0)...] } ?? ""
        return ProxyCredentials(user: try decoded(text[..<(colon ?? text.endIndex)]), password: try decoded(password))
    }

    private static func decoded(_ text: Substring) throws(Malformed) -> String {
        guard let bytes = PercentEncoding.decodeBytes(text) else {
            throw Malformed("user or password has a % without two hexadecimal digits after it: write %25")
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw Malformed("user or password is not UTF-8")
        }
        return decoded
    }
}
