internal import BowlineCore

/// Removes the client's own fields from a request that middleware sends to an origin other than the base URL's.
///
/// The fields may be credentials for the client's own service. A redirect to another origin removes them too. Runs
/// after the user's middleware and before the credentials, so that a signature covers the request as sent.
struct ClientFieldsGuard: Sendable {
    private let fields: [HTTPField]
    private let origin: Origin

    /// - Parameters:
    ///   - fields: The fields that the client adds to requests to its own service.
    ///   - origin: The base URL's origin.
    init(_ fields: HTTPFields, origin: Origin) {
        self.fields = fields.filter { !RedirectPolicy.harmlessFields.contains($0.name) }
        self.origin = origin
    }

    /// Removes the fields if the request goes to another origin. An endpoint that a balancer has chosen counts as the
    /// origin that the caller named. If the caller itself sent the request to another
    /// origin, does nothing, because such a request never got the fields.
    func apply(to request: inout ServiceRequest, _ context: RequestContext) {
        guard context.namedOrigin(of: request) != origin, !context.callerChoseOtherOrigin else { return }
        request.fields.removeAll { field in
            fields.contains { $0.name == field.name && $0.value == field.value }
        }
    }
}
