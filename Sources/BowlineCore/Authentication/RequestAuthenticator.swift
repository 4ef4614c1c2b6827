/// Adds credentials to requests: each attempt anew, as the last thing before it is sent.
///
/// Give one to a client as `configuration.authentication`: ``BasicAuthentication``, ``BearerAuthentication``,
/// ``SigningAuthentication``, a type of your own, or several of them as ``ChainedAuthentication``. It is asked only for
/// requests to the origin of the client's base URL and to `configuration.authenticatedOrigins`, and not for one that brings
/// an `Authorization` field of its own or has `options.authenticates` switched off.
public protocol RequestAuthenticator: Sendable {
    /// Adds credentials to a request that is about to be sent: its method, `url`, fields and body are final, but for the fields that
    /// frame the message (`Host`, `Content-Length`, `Connection`).
    ///
    /// A request that waits here is bounded by its deadline, and by the cancellation of its task: it then goes on to fail,
    /// and this is cancelled.
    ///
    /// - Parameters:
    ///   - request: The request. Change its fields, or the query of its `url`. You can read its body:
    ///     ``RequestBody/bytes``, ``RequestBody/chunks``.
    ///   - context: The attempt, and the deadline by which all has to be over.
    /// - Throws: anything; the request fails with `authenticationFailed`, which has it as `underlying`. The request is tried
    ///   again, by the client's `retry` policy, after a ``ServiceError`` of a request whose service was down, slow or busy.
    func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws

    /// Notes that the service answered 401 to a request with these credentials.
    ///
    /// Neither `async` nor `throws`: a method by this name that is one of them compiles and is never called, because the
    /// default below stands in for it. Wait in ``authenticate(_:context:)``.
    ///
    /// Called once for an attempt; must not block. If it returns true, the request can be sent again, the origin's retry
    /// budget allows it and no shutdown has begun, the request is sent once more: an attempt like every other, for which
    /// ``authenticate(_:context:)`` is asked anew. So say true only if it will then add other credentials.
    ///
    /// - Parameters:
    ///   - request: The request as it was sent, with its credentials.
    ///   - response: The refusal. Its body is not yours to read.
    /// - Returns: Whether other credentials can be had. Default: false.
    func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool
}

extension RequestAuthenticator {
    /// Says that there are no others.
    public func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool { false }
}

/// An authenticator that needs no watching over: it never waits, or gives up by itself when the request's time is over.
package protocol BoundedAuthenticator: RequestAuthenticator {
    /// As ``RequestAuthenticator/authenticate(_:context:)``, on the clock that the context's deadline is measured on.
    func authenticate(_ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock) async throws

    /// As ``RequestAuthenticator/credentialsRefused(_:response:)``, on the client's clock, and which authenticator has them.
    func otherCredentials(
        afterRefusalOf request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> OtherCredentials

    /// Whether there are other credentials now than the refused ones; waits for them, as long as the context allows.
    /// Asked only after ``otherCredentials(afterRefusalOf:response:clock:)`` has said that they are known.
    func hasOtherCredentials(context: RequestContext, clock: any ServiceClock) async throws -> Bool

    /// Whether it waits without giving up by itself, after all, and so needs watching over.
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
