internal import Bowline
internal import BowlineTesting

/// A proxy that runs beside the ledger, and that clients of episodes may use.
struct LedgerProxy: Sendable, Hashable {
    /// The URL as given, with the credentials.
    let url: String
    let proxy: Proxy

    /// - Throws: an error if the URL names no proxy that a ledger can use: an HTTP proxy without TLS, or a SOCKS5 proxy.
    init(_ url: String) throws {
        proxy = try Proxy(url)
        self.url = url
        guard proxy.kind != .https else { throw Unusable() }
    }

    /// The proxy needs TLS, and its certificate would not be from the ledger's authority.
    struct Unusable: Error, CustomStringConvertible {
        let description = "the proxy's URL must begin with http://, socks5h:// or socks5://"
    }
}

/// How an episode's client reaches the service, or the path with faults before the service.
enum LedgerRoute: Sendable, Hashable {
    case direct
    /// An HTTP proxy gets each request itself, in absolute form (RFC 9112 §3.2.2).
    case forwarded(LedgerProxy)
    /// Through a tunnel that an HTTP proxy opens (CONNECT).
    case tunnel(LedgerProxy)
    /// Through a SOCKS5 proxy.
    case socks(LedgerProxy)

    /// The names of all routes, in the order of the table.
    static let names = ["direct", "absolute form", "CONNECT", "SOCKS5"]

    /// Draws a route: four of ten are direct, four use an HTTP proxy, two a SOCKS5 proxy. Without a proxy of the drawn
    /// kind, the route is direct.
    static func drawn(_ random: inout SeededRandom, wire: LedgerProtocol, among proxies: [LedgerProxy]) -> LedgerRoute {
        let number = random.next(in: 0..<10)
        let choice = random.next()
        guard number >= 4 else { return .direct }
        let kind: Proxy.Kind = number < 8 ? .http : .socks5
        let usable = proxies.filter { $0.proxy.kind == kind }
        guard !usable.isEmpty else { return .direct }
        let proxy = usable[Int(choice % UInt64(usable.count))]
        if kind == .socks5 { return .socks(proxy) }
        return wire.isEncrypted ? .tunnel(proxy) : .forwarded(proxy)
    }

    /// nil: the route has no proxy.
    var proxy: LedgerProxy? {
        switch self {
        case .direct: nil
        case .forwarded(let proxy), .tunnel(let proxy), .socks(let proxy): proxy
        }
    }

    /// Whether a proxy reads the requests and writes its own.
    var isForwarded: Bool {
        if case .forwarded = self { true } else { false }
    }

    /// The client's configuration. A direct client does not read the environment.
    var choice: ProxyChoice { proxy.map { .url($0.url) } ?? .none }

    var name: String {
        switch self {
        case .direct: Self.names[0]
        case .forwarded: Self.names[1]
        case .tunnel: Self.names[2]
        case .socks: Self.names[3]
        }
    }
}

extension LedgerPlan {
    /// Sets the route. If a proxy forwards the requests, removes from the plan what tinyproxy 1.11 cannot do:
    ///
    /// - It does not forward the trailer fields of a request, and then waits for an answer to the unfinished request.
    /// - It closes each connection after one response, and does not announce it. A POST that the client sends at that
    ///   moment fails as `ambiguous`. So each request of a calm episode gets its own connection.
    mutating func take(_ route: LedgerRoute) {
        self.route = route
        guard route.isForwarded else { return }
        for index in requests.indices where requests[index].bodyKind == .trailed {
            requests[index].bodyKind = .replayable
        }
        guard isCalm else { return }
        pool.isEnabled = false
        pool.minimumIdlePerOrigin = 0
    }
}
