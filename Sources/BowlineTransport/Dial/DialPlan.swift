internal import BowlineCore

/// The facts about a route that each of its dials needs. ``RouteDialer`` computes them once.
struct DialPlan: Sendable {
    let route: Route
    /// Where the connect goes: to the origin, to one of its addresses, or to the proxy.
    let target: ConnectStep.Target
    /// The name or the address that the origin's certificate must have; nil: there is no TLS with the origin.
    let identity: ReferenceIdentity?
    /// The same for the proxy's certificate; nil: there is no TLS with a proxy.
    let proxyIdentity: ReferenceIdentity?

    init(_ route: Route, environment: TransportEnvironment) {
        self.route = route
        target = Self.target(of: route)
        identity = route.origin.scheme == .https ? environment.tls.identity(for: route.origin.host) : nil
        proxyIdentity =
            if let proxy = route.proxy, proxy.kind == .https {
                environment.proxyTLS?.identity(for: proxy.host)
            } else {
                nil
            }
    }

    private static func target(of route: Route) -> ConnectStep.Target {
        let origin = route.origin
        if let address = route.address { return .address(address, port: origin.port) }
        if let proxy = route.proxy { return ConnectStep.Target(proxy.host, port: proxy.port) }
        if let path = origin.socketPath { return .socket(path: path) }
        return ConnectStep.Target(origin.host, port: origin.port)
    }
}

extension ConnectStep.Target {
    /// - Parameter host: A name, or an IP address without brackets.
    fileprivate init(_ host: String, port: Int) {
        if let address = IPAddress(host) {
            self = .address(address, port: port)
        } else {
            self = .name(host, port: port)
        }
    }
}
