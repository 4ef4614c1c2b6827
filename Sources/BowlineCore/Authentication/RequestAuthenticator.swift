/// A type that adds credentials to requests. It is called for each attempt, as the last step before the attempt is
/// sent.
///
/// Set an authenticator as a client's `configuration.authentication`: ``BasicAuthentication``,
/// ``BearerAuthentication``, ``SigningAuthentication``, a type of your own, or several of them as
/// ``ChainedAuthentication``. The authenticator is called only for requests to the origin of the client's base URL and
/// to `configuration.authenticatedOrigins`. It is not called for a request that already has an `Authorization` field,
/// or if `options.authenticates` is false.
public protocol RequestAuthenticator: Sendable {
    /// Adds credentials to a request that is about to be sent. The method, `url`, fields and body are final, except for
    /// the fields that frame the message (`Host`, `Content-Length`, `Connection`).
    ///
    /// If the request's deadline passes or its task is cancelled while this function runs, the request fails and this
    /// function is cancelled.
    ///
    /// - Parameters:
    ///   - request: The request. Change its fields, or the query of its `url`. You can read its body:
    ///     ``RequestBody/bytes``, ``RequestBody/chunks``.
    ///   - context: The attempt's number, and the deadline of the whole request.
    /// - Throws: any error. The request fails with `authenticationFailed`, and `underlying` is your error. If your
    ///   error is the ``ServiceError`` of a request to a service that was down, slow or busy, the client's `retry`
    ///   policy retries the request.
    func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws

    /// Records that the service answered 401 to a request with these credentials. Returns whether there are other
    /// credentials.
    ///
    /// Do not declare your method `async` or `throws`. Such a method compiles, but Bowline never calls it: it calls the
    /// default implementation, which returns false. If you have to wait, wait in ``authenticate(_:context:)``.
    ///
    /// Called once per attempt. It must not block. The request is sent once more on four conditions: this function
    /// returns true, the request's body can be sent again, the origin's retry budget allows a retry, and no shutdown
    /// has begun. The second sending is an attempt like any other: ``authenticate(_:context:)`` is called for it. So
    /// return true only if ``authenticate(_:context:)`` will then add other credentials.
    ///
    /// - Parameters:
    ///   - request: The request as it was sent, with its credentials.
    ///   - response: The 401. Do not read its body.
    /// - Returns: whether ``authenticate(_:context:)`` can add other credentials. Default: false.
    func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool
}

extension RequestAuthenticator {
    /// Returns false: there are no other credentials.
    public func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool { false }
}

/// An authenticator that does not delay a request beyond its deadline, unless ``mayWait`` is true. It never waits, or
/// it stops waiting at the deadline.
package protocol BoundedAuthenticator: RequestAuthenticator {
    /// Like ``RequestAuthenticator/authenticate(_:context:)``, with the clock of the context's deadline.
    func authenticate(_ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock) async throws

    /// Like ``RequestAuthenticator/credentialsRefused(_:response:)``, with the client's clock. Also returns which kind
    /// of authenticator may renew the credentials.
    func recordRefusal(
        of request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> RenewalChance

    /// Gets credentials other than the refused ones, if there are any. Waits for them until the context's deadline.
    /// Called only after ``recordRefusal(of:response:clock:)`` has returned ``RenewalChance/bowlineMayRenew``.
    func renewCredentials(context: RequestContext, clock: any ServiceClock) async throws -> CredentialRenewal

    /// Whether the authenticator may wait beyond the request's deadline. Then it is called in a task of its own, so
    /// that the request still ends at its deadline.
    var mayWait: Bool { get }

    /// Returns the problems of the authenticator's knobs.
    func problems(at path: String) -> [ConfigurationProblem]
}

extension BoundedAuthenticator {
    package func authenticate(
        _ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock
    ) async throws {
        try await authenticate(&request, context: context)
    }

    package func recordRefusal(
        of request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> RenewalChance { RenewalChance() }

    package func renewCredentials(context: RequestContext, clock: any ServiceClock) async throws -> CredentialRenewal {
        .notRenewed
    }

    package var mayWait: Bool { false }

    package func problems(at path: String) -> [ConfigurationProblem] { [] }
}

extension HTTPField {
    /// Makes an `Authorization` field that no intermediary may keep in its compression tables (RFC 7541 §7.1.3).
    init(authorization value: String) {
        self.init(name: .authorization, value: value)
        indexingStrategy = .disallow
    }
}
