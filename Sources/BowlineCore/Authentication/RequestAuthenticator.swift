/// Adds credentials to requests: to each attempt again, as the last step before it is sent.
///
/// Give one to a client as `configuration.authentication`: ``BasicAuthentication``, ``BearerAuthentication``,
/// ``SigningAuthentication``, a type of your own, or several of them as ``ChainedAuthentication``. It is asked only for
/// requests to the origin of the client's base URL and to `configuration.authenticatedOrigins`, and not for one that
/// has an `Authorization` field of its own or has `options.authenticates` switched off.
public protocol RequestAuthenticator: Sendable {
    /// Adds credentials to a request that is about to be sent: its method, `url`, fields and body are final, except for
    /// the fields that frame the message (`Host`, `Content-Length`, `Connection`).
    ///
    /// If the request's deadline passes or its task is cancelled while this function runs, the request fails and this
    /// function is cancelled.
    ///
    /// - Parameters:
    ///   - request: The request. Change its fields, or the query of its `url`. You can read its body:
    ///     ``RequestBody/bytes``, ``RequestBody/chunks``.
    ///   - context: The attempt, and the deadline by which all has to be over.
    /// - Throws: any error. The request fails with `authenticationFailed`, whose `underlying` is that error. If it is
    ///   the ``ServiceError`` of a request whose service was down, slow or busy, the client's `retry` policy tries the
    ///   request again.
    func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws

    /// Notes that the service answered 401 to a request with these credentials.
    ///
    /// Neither `async` nor `throws`: a method by this name that is one of them compiles and is never called, because the
    /// default below stands in for it. Wait in ``authenticate(_:context:)``.
    ///
    /// Called once for an attempt; must not block. The request is sent once more if this returns true, its body can be
    /// sent again, the origin's retry budget allows it, and no shutdown has begun. The second sending is an attempt
    /// like every other: ``authenticate(_:context:)`` is called for it. So return true only if
    /// ``authenticate(_:context:)`` will then add other credentials.
    ///
    /// - Parameters:
    ///   - request: The request as it was sent, with its credentials.
    ///   - response: The 401. Do not read its body.
    /// - Returns: Whether other credentials can be had. Default: false.
    func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool
}

extension RequestAuthenticator {
    /// Returns false: there are no other credentials.
    public func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool { false }
}

/// An authenticator that cannot delay a request beyond its deadline: it never waits, or stops by itself when the
/// request's time is over.
package protocol BoundedAuthenticator: RequestAuthenticator {
    /// As ``RequestAuthenticator/authenticate(_:context:)``, on the clock that the context's deadline is measured on.
    func authenticate(_ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock) async throws

    /// As ``RequestAuthenticator/credentialsRefused(_:response:)``, on the client's clock. Also says which kind of
    /// authenticator may have other credentials.
    func otherCredentials(
        afterRefusalOf request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> OtherCredentials

    /// Whether there are now other credentials than the refused ones. Waits for them, until the context's deadline.
    /// Called only after ``otherCredentials(afterRefusalOf:response:clock:)`` has returned
    /// ``OtherCredentials/canBeAsked``.
    func hasOtherCredentials(context: RequestContext, clock: any ServiceClock) async throws -> Bool

    /// Whether it may wait beyond the request's deadline nevertheless.
    var mayWait: Bool { get }

    /// The problems of its knobs.
    func problems(at path: String) -> [ConfigurationProblem]
}

extension BoundedAuthenticator {
    package func authenticate(
        _ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock
    ) async throws {
        try await authenticate(&request, context: context)
    }

    package func otherCredentials(
        afterRefusalOf request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> OtherCredentials { OtherCredentials() }

    package func hasOtherCredentials(context: RequestContext, clock: any ServiceClock) async throws -> Bool { false }

    package var mayWait: Bool { false }

    package func problems(at path: String) -> [ConfigurationProblem] { [] }
}

extension HTTPField {
    /// An `Authorization` field that no intermediary may keep in its compression tables (RFC 7541 §7.1.3).
    init(authorization value: String) {
        self.init(name: .authorization, value: value)
        indexingStrategy = .disallow
    }
}
