internal import BowlineCore

/// Returns the proxy for a request: ``ProxyChoice`` with the variables of the environment read.
final class ProxySelection: Sendable {
    private enum Rule: Sendable {
        case direct
        case environment(EnvironmentProxies)
        case fixed(Proxy)
        case custom(ProxyChoice.Custom)
    }

    private let rule: Rule
    /// Whether no request uses a proxy. Check it first: then a request without a proxy costs one branch.
    let isDirect: Bool
    /// Warnings for the log, once, when the client is made.
    let warnings: [String]

    /// No request uses a proxy.
    static let direct = ProxySelection()

    private init() {
        (rule, isDirect, warnings) = (.direct, true, [])
    }

    /// Reads the environment if `choice` says so.
    ///
    /// - Parameter variable: Looks up a variable of the environment.
    /// - Throws: ``ServiceError`` `invalidConfiguration` if the choice names no usable proxy.
    init(_ choice: ProxyChoice, variable: (String) -> String?) throws {
        try choice.problems(at: "proxy").throwIfAny()
        switch choice.rule {
        case .environment:
            let proxies = EnvironmentProxies(variable)
            rule = proxies.isDirect ? .direct : .environment(proxies)
            isDirect = proxies.isDirect
            warnings = proxies.warnings
        case .fixed(let proxy): (rule, isDirect, warnings) = (.fixed(proxy), false, [])
        case .custom(let custom): (rule, isDirect, warnings) = (.custom(custom), false, [])
        case .direct, .malformed: (rule, isDirect, warnings) = (.direct, true, [])
        }
    }

    /// Whether a request may use TLS to a proxy.
    var mayUseTLS: Bool {
        switch rule {
        case .direct: false
        case .environment(let proxies): proxies.mayUseTLS
        case .fixed(let proxy): proxy.kind == .https
        case .custom: true
        }
    }

    /// Whether the proxy depends on the origin alone; false: a closure chooses it for each URL.
    var dependsOnOriginOnly: Bool {
        if case .custom = rule { false } else { true }
    }

    /// Returns the proxy for a request to `url`; nil: none.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration` for a malformed variable of the environment, or for an error of
    ///   the user's closure that is no `ServiceError`.
    func proxy(for url: ServiceURL) throws -> Proxy? {
        guard case .custom(let custom) = rule else { return try proxy(for: url.origin) }
        guard url.origin.socketPath == nil else { return nil }
        do {
            return try custom.choose(url)
        } catch let error as ServiceError {
            throw error
        } catch {
            throw ServiceError(
                .invalidConfiguration, "proxy: the closure of .custom threw \(type(of: error))", underlying: error,
                origin: url.origin.description)
        }
    }

    /// Returns the proxy for a connection to `origin` that belongs to no request; nil: none.
    ///
    /// - Throws: As ``proxy(for:)-(ServiceURL)``.
    func proxy(for origin: Origin) throws -> Proxy? {
        switch rule {
        case .direct: nil
        case .environment(let proxies): try proxies.proxy(for: origin)
        case .fixed(let proxy): origin.socketPath == nil ? proxy : nil
        case .custom: try proxy(for: ServiceURL(rootOf: origin))
        }
    }
}
