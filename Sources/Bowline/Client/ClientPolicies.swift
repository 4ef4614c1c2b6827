internal import BowlineCall
internal import BowlineCore

/// The settings that may differ between clients over one core: the base URL, the policies, and the call plan made from
/// them.
///
/// A class, so that a client is cheap to copy.
final class ClientPolicies: Sendable {
    let baseURL: ServiceURL?
    let configuration: ClientConfiguration
    /// Runs a call's attempts.
    let executor: CallExecutor
    /// The `perCall` middleware with the executor after it; nil: the client has no middleware.
    let middleware: Next?
    /// The decoder for responses.
    let decoding: BodyDecoding
    /// Gives each attempt to an endpoint; nil: balancing is off.
    private let balancing: AttemptBalancing?
    private let userAgent: HTTPField?
    /// The fields of a request that has none of its own. Most requests share this collection.
    private let usualFields: HTTPFields
    /// Whether the user's middleware could send the client's own fields to another origin.
    private let guardsClientFields: Bool

    convenience init(baseURL: ServiceURL?, configuration: ClientConfiguration, core: ClientCore) {
        let userAgent = configuration.userAgent.map { HTTPField(name: .userAgent, value: $0) }
        let usualFields = userAgent.map { HTTPFields([$0]) } ?? [:]
        let plan = CallPlan(configuration, base: baseURL, usualFields: usualFields, core: core)
        let executor = CallExecutor(plan)
        self.init(
            baseURL: baseURL, configuration: configuration, userAgent: userAgent, usualFields: usualFields,
            executor: executor, middleware: plan.middleware(before: executor), balancing: plan.balancing
        )
    }

    /// Makes policies that differ from `other` only in the base URL. The new base URL has the same origin.
    convenience init(_ other: ClientPolicies, baseURL: ServiceURL) {
        self.init(
            baseURL: baseURL, configuration: other.configuration, userAgent: other.userAgent,
            usualFields: other.usualFields, executor: other.executor, middleware: other.middleware,
            balancing: other.balancing)
    }

    private init(
        baseURL: ServiceURL?, configuration: ClientConfiguration, userAgent: HTTPField?, usualFields: HTTPFields,
        executor: CallExecutor, middleware: Next?, balancing: AttemptBalancing?
    ) {
        self.baseURL = baseURL
        self.configuration = configuration
        self.userAgent = userAgent
        self.usualFields = usualFields
        self.executor = executor
        self.middleware = middleware
        self.balancing = balancing
        guardsClientFields = CallPlan.guardedFields(configuration, base: baseURL) != nil
        decoding = BodyDecoding(configuration.decoder)
    }

    /// Returns the URL to which a request goes. A URL of a balancer's endpoint is replaced by the URL below the client's
    /// base URL: responses of endpoints contain such URLs, for example in `Link`.
    ///
    /// - Throws: ``ServiceError`` `invalidURL`.
    func resolve(_ request: ServiceRequest) throws -> ServiceURL {
        let url = try requestedURL(of: request)
        guard let balancing, url.origin != baseURL?.origin else { return url }
        return balancing.namedURL(for: url) ?? url
    }

    private func requestedURL(of request: ServiceRequest) throws -> ServiceURL {
        if let url = request.url { return url }
        guard let baseURL else { return try ServiceURL(request.reference) }
        return try baseURL.appending(request.reference)
    }

    /// Adds the body's content type, the client's fields and `User-Agent`, unless the request has a field of that name.
    /// Runs before the first middleware, so that middleware can read and change every field, and a signature covers all
    /// of them.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest` if the content type has a control character.
    func addFields(to request: inout ServiceRequest, for url: ServiceURL) throws {
        if let type = request.body.contentType, !request.fields.contains(.contentType) {
            try ServiceRequest.checkValue(type, of: .contentType)
            request.fields[.contentType] = type
        }
        addOwnFields(to: &request, for: url)
        if request.fields.isEmpty {
            request.fields = usualFields
        } else if let userAgent, !request.fields.contains(.userAgent) {
            request.fields.append(userAgent)
        }
    }

    private func addOwnFields(to request: inout ServiceRequest, for url: ServiceURL) {
        let fields = configuration.fields
        // The fields may be credentials. So a client with a base URL sends them only to the base URL's origin, not to
        // the origin of an absolute URL.
        guard !fields.isEmpty, baseURL == nil || baseURL?.origin == url.origin else { return }
        let own = request.fields
        for field in fields where !own.contains(field.name) { request.fields.append(field) }
    }

    /// Returns the context of a call that begins `now`, with its deadline and limits.
    func context(of request: ServiceRequest, call: CallRecord, now: MonotonicInstant) -> RequestContext {
        let timeouts =
            request.ownOptions?.value.timeouts.resolved(over: configuration.timeouts) ?? configuration.timeouts
        var deadline = timeouts.total.map { Deadline(now.advanced(by: $0)) }
        if let inherited = Deadline.current { deadline = deadline.map { min($0, inherited) } ?? inherited }
        var context = RequestContext(deadline: deadline, timeouts: timeouts, call: call)
        if guardsClientFields { context.callerChoseOtherOrigin = request.url?.origin != baseURL?.origin }
        return context
    }
}
