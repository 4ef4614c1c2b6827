public import BowlineCore

extension ServiceClient {
    /// Returns a client with other policies over the same connections, budgets and lifecycle.
    ///
    /// ```swift
    /// let impatient = try client.with { $0.timeouts.total = .seconds(2) }
    /// ```
    /// The new client starts with this client's configuration. The settings of the connections and of the shutdown are
    /// shared, so they cannot be changed: `pool`, `connection`, `http2`, `tls`, `proxy`, `timeouts.connect`,
    /// `lifecycle`, `clock`, `random`, `resolver`, and metrics and events of `telemetry`. Shutting down either client
    /// shuts down both.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration` for a value that is out of range, or if a shared setting was
    ///   changed; any error of `configure`.
    public func with(_ configure: (inout ClientConfiguration) throws -> Void) throws -> ServiceClient {
        var changed = configuration
        try configure(&changed)
        changed.reconcileLimits()
        try (changed.problems(derivingFrom: configuration) + changed.problems(base: baseURL)).throwIfAny()
        changed.reportReading()
        return ServiceClient(
            core: core, policies: ClientPolicies(baseURL: baseURL, configuration: changed, core: core)
        )
    }

    /// Returns a client for a part of the service, over the same connections, budgets and lifecycle.
    ///
    /// ```swift
    /// let orders = try client.scoped(to: "customers/42/orders", fields: [.acceptLanguage: "cy"])
    /// let open = try await orders.get("open").decode([Order].self)
    /// ```
    ///
    /// - Parameters:
    ///   - path: A path that is appended to the base URL, without a query. Encode values in it with
    ///     `PercentEncoding.segment`. Empty: the base URL stays the same.
    ///   - fields: Fields that are added to the configuration's `fields`. They replace fields of the same name. A
    ///     request's own fields take precedence.
    /// - Throws: ``ServiceError`` `invalidURL` if the path is an absolute URL or has a query, or if this client has no
    ///   base URL; `invalidConfiguration` if `fields` has a field with which no request could be sent.
    public func scoped(to path: String, fields: HTTPFields = [:]) throws -> ServiceClient {
        guard let baseURL else {
            throw ServiceError(.invalidURL, "scoped(to:) needs a client with a base URL")
        }
        // Bytes, not characters: a combining mark behind the slash would hide it.
        guard !path.utf8.contains("://".utf8), !path.utf8.contains(UInt8(ascii: "?")) else {
            throw ServiceError(.invalidURL, "scoped(to:) takes a path below the base URL, without a query")
        }
        let base = try baseURL.appending(path)
        if fields.isEmpty {
            return ServiceClient(core: core, policies: ClientPolicies(policies, baseURL: base))
        }
        var changed = configuration
        for name in fields.distinctNames { changed.fields[fields: name] = fields[fields: name] }
        try changed.fieldProblems().throwIfAny()
        // The client needs a plan of its own, because redirects must know the names of all its own fields.
        return ServiceClient(
            core: core, policies: ClientPolicies(baseURL: base, configuration: changed, core: core))
    }
}
