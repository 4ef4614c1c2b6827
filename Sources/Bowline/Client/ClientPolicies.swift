internal import BowlineCore

/// What clients over one core may differ in: the base URL, the policies, and the pipeline folded from them.
///
/// Held by reference, so that a client is cheap to copy.
final class ClientPolicies: Sendable {
    let baseURL: ServiceURL?
    let configuration: ClientConfiguration
    let pipeline: Next
    /// What responses are handed, so that they can be decoded.
    let decoding: BodyDecoding

    convenience init(baseURL: ServiceURL?, configuration: ClientConfiguration, core: ClientCore) {
        self.init(
            baseURL: baseURL, configuration: configuration,
            pipeline: DefaultPipeline.make(configuration, base: baseURL, core: core)
        )
    }

    init(baseURL: ServiceURL?, configuration: ClientConfiguration, pipeline: Next) {
        self.baseURL = baseURL
        self.configuration = configuration
        self.pipeline = pipeline
        decoding = BodyDecoding(configuration.decoder)
    }

    /// Where a request goes.
    ///
    /// - Throws: ``ServiceError`` `invalidURL`.
    func resolve(_ request: ServiceRequest) throws -> ServiceURL {
        if let url = request.url { return url }
        guard let baseURL else { return try ServiceURL(request.reference) }
        return try baseURL.resolving(request.reference)
    }

    /// Adds what the body says of itself, and the client's own fields where the request has none of that name.
    func addFields(to request: inout ServiceRequest, for url: ServiceURL) {
        if let type = request.body.contentType, !request.fields.contains(.contentType) {
            request.fields[.contentType] = type
        }
        let fields = configuration.fields
        // What may be credentials goes to the service that the client is for, not to whatever an absolute URL names.
        guard !fields.isEmpty, baseURL == nil || baseURL?.origin == url.origin else { return }
        let own = request.fields
        for field in fields where !own.contains(field.name) { request.fields.append(field) }
    }

    /// Deadline and limits of a call that begins `now`.
    func context(of request: ServiceRequest, call: CallRecord, now: MonotonicInstant) -> RequestContext {
        let timeouts =
            request.ownOptions?.value.timeouts.resolved(over: configuration.timeouts) ?? configuration.timeouts
        var deadline = timeouts.total.map { Deadline(now.advanced(by: $0)) }
        if let inherited = Deadline.current { deadline = deadline.map { min($0, inherited) } ?? inherited }
        return RequestContext(deadline: deadline, timeouts: timeouts, call: call)
    }
}
