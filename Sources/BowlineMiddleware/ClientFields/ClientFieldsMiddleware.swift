package import BowlineCore

/// Takes the client's own fields off a request that middleware sends to another origin than the base URL's.
///
/// They may be credentials, and are for the client's own service: no redirect takes them elsewhere either. Stands inside all of
/// the user's middleware and outside authentication, so that what is signed is what is sent.
package struct ClientFieldsMiddleware: SelectiveMiddleware {
    private let fields: [HTTPField]
    private let origin: Origin

    /// - Parameters:
    ///   - fields: What the client adds to requests to its own service.
    ///   - origin: The base URL's.
    package init(_ fields: HTTPFields, origin: Origin) {
        self.fields = fields.filter { !RedirectPolicy.harmlessFields.contains($0.name) }
        self.origin = origin
    }

    package func concerns(_ request: ServiceRequest) -> Bool {
        request.url?.origin != origin
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        // A request that was for another origin from the beginning got none of them.
        guard concerns(request), !context.beganElsewhere else { return try await next(request, context: context) }
        var request = request
        request.fields.removeAll { field in
            fields.contains { $0.name == field.name && $0.value == field.value }
        }
        return try await next(request, context: context)
    }
}
