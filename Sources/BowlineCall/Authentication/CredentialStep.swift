internal import BowlineCore

/// Adds credentials to requests for the origins that may see them. After a 401, says whether there may be other
/// credentials.
///
/// Runs last before the transport, on each attempt and each hop, so that a signature covers the request as sent. After
/// a redirect to an untrusted origin, the call gets no credentials on any later hop, because that origin chose the URL.
struct CredentialStep: Sendable {
    /// The codes of errors that Bowline's own authenticators throw. Such an error has no origin.
    private static let ownCodes: [ServiceError.Code] = [
        .authenticationFailed, .deadlineExceeded, .forciblyClosed,
    ]

    private let authenticator: any RequestAuthenticator
    /// The authenticator, if it is one of Bowline's; nil: the user wrote it.
    private let bounded: (any BoundedAuthenticator)?
    /// Whether the authenticator may wait beyond the request's deadline. Then it runs in a task of its own.
    private let needsOwnTask: Bool
    private let origins: [Origin]
    private let clock: any ServiceClock

    /// - Parameters:
    ///   - authenticator: Adds the credentials.
    ///   - origins: The origins that may see the credentials.
    ///   - clock: The client's clock.
    init(_ authenticator: any RequestAuthenticator, origins: [Origin], clock: any ServiceClock) {
        self.authenticator = authenticator
        bounded = authenticator as? any BoundedAuthenticator
        needsOwnTask = bounded?.mayWait ?? true
        self.origins = origins
        self.clock = clock
    }

    /// Whether the request gets credentials.
    func concerns(_ request: ServiceRequest, _ context: RequestContext) -> Bool {
        guard let origin = context.namedOrigin(of: request), origins.contains(origin),
            context.earlierOrigins.allSatisfy({ origins.contains($0) })
        else { return false }
        return request.ownOptions?.value.authenticates ?? true && !request.fields.contains(.authorization)
    }

    /// Returns the request with its credentials.
    ///
    /// - Throws: `CancellationError` unchanged if the call was cancelled; else a ``ServiceError`` with the progress
    ///   `neverSent`.
    func authenticated(_ request: ServiceRequest, _ context: RequestContext) async throws -> ServiceRequest {
        do {
            if let bounded, !needsOwnTask {
                var request = request
                try await bounded.authenticate(&request, context: context, clock: clock)
                return request
            }
            return try await authenticatedInOwnTask(request, context)
        } catch {
            throw Self.failure(error, request, context, .neverSent)
        }
    }

    /// Records that the service refused the credentials with a 401. The authenticator may forget them.
    ///
    /// - Parameter sent: The request with the credentials that were refused.
    /// - Returns: which kinds of authenticators may have other credentials.
    func recordRefusal(of sent: ServiceRequest, _ response: ServiceResponse) -> RenewalChance {
        if let bounded { return bounded.recordRefusal(of: sent, response: response, clock: clock) }
        return RenewalChance(userClaimsRenewal: authenticator.credentialsRefused(sent, response: response))
    }

    /// Makes Bowline's authenticator get other credentials, if there are any. The result is `notRenewed` for an
    /// authenticator of the user.
    ///
    /// - Throws: `CancellationError` unchanged if the call was cancelled; else a ``ServiceError`` with the progress
    ///   `responseStarted`.
    func renewCredentials(
        for request: ServiceRequest, _ context: RequestContext
    ) async throws -> CredentialRenewal {
        guard let bounded else { return .notRenewed }
        do {
            return try await bounded.renewCredentials(context: context, clock: clock)
        } catch {
            throw Self.failure(error, request, context, .responseStarted)
        }
    }

    /// Runs the authenticator in a task of its own, so that the request still ends at its deadline if the authenticator
    /// hangs. Used for an authenticator of the user, and for one that reads the body.
    private func authenticatedInOwnTask(
        _ request: ServiceRequest, _ context: RequestContext
    ) async throws -> ServiceRequest {
        let (authenticator, bounded, clock) = (authenticator, bounded, clock)
        let work = SharedWork<ServiceRequest>()
        work.start {
            var request = request
            if let bounded {
                try await bounded.authenticate(&request, context: context, clock: clock)
            } else {
                try await authenticator.authenticate(&request, context: context)
            }
            return request
        }
        do {
            return try await work.value(until: context.deadline?.instant, clock: clock, call: context.call)
        } catch is SharedWork<ServiceRequest>.LimitPassed {
            work.cancel()
            throw ServiceError(.deadlineExceeded, "the request's time ended while it waited for credentials")
        } catch {
            work.cancel()
            throw error is SharedWork<ServiceRequest>.ForciblyClosed ? context.call.forciblyClosed : error
        }
    }

    /// Makes the caller's error from an authenticator's error. `progress` is the progress of the caller's request, not
    /// of a request that the authenticator sent.
    private static func failure(
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
            failure.isTemporary = ServiceError.isTemporary(error)
        }
        failure.progress = progress
        failure.attempts = context.attempt
        failure.requestsSent = context.call.requestsSent
        failure.origin = request.url?.origin.description
        failure.phase = .pipeline
        return failure
    }
}
