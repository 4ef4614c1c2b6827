package import BowlineCore

/// Follows redirects: one hop after another, each with whatever stands further in (retries, credentials) to itself.
///
/// Outside retries, so that each hop has its attempts and none is repeated for the failure of the next. The call's
/// deadline goes along; attempts are counted from 1 on each hop.
package struct RedirectMiddleware: ReactiveMiddleware {
    private let options: RedirectOptions
    private let clientFields: [HTTPField.Name]

    /// - Parameters:
    ///   - options: For requests without options of their own.
    ///   - clientFields: Which fields the client gives to its own service: they may be credentials.
    package init(_ options: RedirectOptions, clientFields: [HTTPField.Name] = []) {
        self.options = options
        self.clientFields = clientFields
    }

    package func prepare(_ request: inout ServiceRequest, context: RequestContext) {}

    package func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool {
        RedirectPolicy.Kind(response.status) == nil
    }

    package func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext,
        next: Next
    ) async throws -> ServiceResponse {
        let response = try outcome.get()
        guard let kind = RedirectPolicy.Kind(response.status) else { return response }
        return try await follow(kind, response, request, context, next)
    }

    private func follow(
        _ kind: RedirectPolicy.Kind, _ first: ServiceResponse, _ request: ServiceRequest, _ context: RequestContext,
        _ next: Next
    ) async throws -> ServiceResponse {
        let options = request.ownOptions?.value.redirect.resolved(over: options) ?? options
        let policy = RedirectPolicy(options, clientFields: clientFields)
        var kind = kind
        var response = first
        var request = request
        var context = context
        var followed: [ServiceURL] = []
        while let url = request.url {
            switch policy.decide(
                kind, fields: response.receivedFields, request: request, url: url, followed: followed.count
            ) {
            case .stop:
                response.facts.redirects = followed
                return response
            case .refuse(let code, let message, let underlying):
                response.body.discard()
                var error = ServiceError(
                    code, message, underlying: underlying, progress: .responseStarted,
                    attempts: max(response.facts.attempts, context.attempt), origin: url.origin.description,
                    phase: .pipeline
                )
                error.requestsSent = context.call.requestsSent
                throw response.describing(error)
            case .follow(let hop):
                // Read off or cut, off our path; a pool of one connection has it back either way.
                response.body.discard()
                try Task.checkCancellation()
                context.beginHop(from: url.origin)
                request = hop
                if let target = hop.url { followed.append(target) }
            }
            do {
                response = try await next(request, context: context)
            } catch var error as ServiceError {
                // The call is what the caller asked for, and of that the service has answered a part.
                error.progress = error.progress.furthest(.responseStarted)
                throw error
            }
            guard let again = RedirectPolicy.Kind(response.status) else { break }
            kind = again
        }
        response.facts.redirects = followed
        return response
    }
}
