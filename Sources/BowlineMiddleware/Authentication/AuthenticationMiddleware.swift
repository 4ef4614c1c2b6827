package import BowlineCore

/// Asks an authenticator for credentials, for requests to the origins it was given, and tells it of a 401.
///
/// The innermost: what it signs is what is sent, on each attempt and each hop. A call that a redirect has led to an origin
/// that is not trusted gets no credentials any more, wherever it goes from there: that origin chose the URL.
package struct AuthenticationMiddleware: ServiceMiddleware {
    /// What the authenticators of ours say themselves, and without an origin.
    private static let ownCodes: [ServiceError.Code] = [
        .authenticationFailed, .deadlineExceeded, .forciblyClosed,
    ]

    private let authenticator: any RequestAuthenticator
    private let punctual: (any PunctualAuthenticator)?
    /// Whether it could keep a request waiting.
    private let isWatched: Bool
    private let origins: [Origin]
    private let clock: any ServiceClock

    /// - Parameters:
    ///   - authenticator: Whom to ask.
    ///   - origins: Which origins may see the credentials.
    ///   - clock: The client's.
    package init(_ authenticator: any RequestAuthenticator, origins: [Origin], clock: any ServiceClock) {
        self.authenticator = authenticator
        punctual = authenticator as? any PunctualAuthenticator
        isWatched = punctual?.mayWait ?? true
        self.origins = origins
        self.clock = clock
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        guard isTrusted(request, context) else { return try await next(request, context: context) }
        let sent = try await authenticated(request, context)
        var response = try await next(sent, context: context)
        if response.status.code == 401 {
            response.facts.otherCredentials = otherCredentials(afterRefusalOf: sent, response)
        }
        return response
    }

    private func otherCredentials(
        afterRefusalOf sent: ServiceRequest, _ response: ServiceResponse
    ) -> OtherCredentials {
        if let punctual { return punctual.otherCredentials(afterRefusalOf: sent, response: response, clock: clock) }
        return OtherCredentials(areClaimed: authenticator.credentialsRefused(sent, response: response))
    }

    private func isTrusted(_ request: ServiceRequest, _ context: RequestContext) -> Bool {
        guard let origin = request.url?.origin, origins.contains(origin),
            context.earlierOrigins.allSatisfy({ origins.contains($0) })
        else { return false }
        return request.ownOptions?.value.authenticates ?? true && !request.fields.contains(.authorization)
    }

    private func authenticated(
        _ request: ServiceRequest, _ context: RequestContext
    ) async throws -> ServiceRequest {
        do {
            if let punctual, !isWatched {
                var request = request
                try await punctual.authenticate(&request, context: context, clock: clock)
                return request
            }
            return try await watched(request, context)
        } catch {
            throw Self.failure(error, request, context, .neverSent)
        }
    }

    /// Asks an authenticator that nobody knows, or one that reads the body: should it hang, the request does not.
    private func watched(_ request: ServiceRequest, _ context: RequestContext) async throws -> ServiceRequest {
        let (authenticator, punctual, clock) = (authenticator, punctual, clock)
        let flight = Flight<ServiceRequest>()
        flight.start {
            var request = request
            if let punctual {
                try await punctual.authenticate(&request, context: context, clock: clock)
            } else {
                try await authenticator.authenticate(&request, context: context)
            }
            return request
        }
        do {
            return try await flight.value(until: context.deadline?.instant, clock: clock, call: context.call)
        } catch is Flight<ServiceRequest>.LimitPassed {
            flight.cancel()
            throw ServiceError(.deadlineExceeded, "the request's time ended while it waited for credentials")
        } catch {
            flight.cancel()
            throw error is Flight<ServiceRequest>.CutOff ? context.call.forciblyClosed : error
        }
    }

    /// What the caller gets: his own cancellation as it is; otherwise an error that says who failed, and how far the
    /// request is, which is not how far a request of the token's source got.
    static func failure(
        _ error: any Error, _ request: ServiceRequest, _ context: RequestContext, _ progress: RequestProgress
    ) -> any Error {
        if error is CancellationError, Task.isCancelled { return error }
        var failure: ServiceError
        if let own = error as? ServiceError, own.origin == nil, ownCodes.contains(own.code) {
            failure = own
        } else {
            failure = ServiceError(
                .authenticationFailed, "no credentials could be had for the request", underlying: error
            )
            failure.isPassing = ServiceError.isPassing(error)
        }
        failure.progress = progress
        failure.attempts = context.attempt
        failure.requestsSent = context.call.requestsSent
        failure.origin = request.url?.origin.description
        failure.phase = .pipeline
        // So that the call's retries believe it: nothing of this attempt was sent, or the service has refused it.
        return failure.isPassing ? context.call.marked(failure) : failure
    }
}
