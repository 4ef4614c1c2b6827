/// A token with each request (RFC 6750): one that never changes, or one from a source that is asked for it when needed.
///
/// The source is asked once for all waiting requests: on the first request, ahead of the token's end while the old
/// token is still good, and after a 401. After a 401 the request is sent once more if its body can be sent again.
/// Copies, and the clients that use them, share their token. The description does not contain the token.
///
/// ```swift
/// $0.authentication = BearerAuthentication {
///     let answer = try await identity.post("token").decode(Answer.self)
///     return BearerToken(answer.accessToken, lifetime: .seconds(answer.expiresIn))
/// }
/// ```
/// A source that sends its requests with the same client has to switch `options.authenticates` off for them.
public struct BearerAuthentication: RequestAuthenticator, BoundedAuthenticator {
    private enum Kind: Sendable {
        case fixed(HTTPField)
        case source(BearerTokenStore)
    }

    private let kind: Kind

    /// Makes an authenticator with a token that never changes.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration`: it is empty, or has a character other than visible ASCII.
    public init(token: String) throws {
        guard let field = BearerToken(token).field else {
            throw ServiceError(
                .invalidConfiguration, "BearerAuthentication: the token must be visible ASCII characters, at least one"
            )
        }
        kind = .fixed(field)
    }

    /// Makes an authenticator with a source of tokens.
    ///
    /// - Parameters:
    ///   - leeway: How long before a token's end another is fetched, while requests go on with the old one; half its
    ///     lifetime if that is less. Negative counts as zero. Default 30 s.
    ///   - fetchTimeout: How long the source may take; requests that wait longer fail. Greater than zero, checked when the
    ///     client is made. Default 30 s.
    ///   - fetch: Returns a token. Runs in a task of its own without a deadline. Cancelled when it takes too long, and
    ///     when no request waits for it any more. If it throws a ``ServiceError`` because its own service is down, slow
    ///     or busy (429, 5xx), the client's `retry` policy retries the waiting requests. Any other error fails them
    ///     with `authenticationFailed`. The next request asks again.
    public init(
        leeway: Duration = .seconds(30), fetchTimeout: Duration = .seconds(30),
        fetch: @escaping @Sendable () async throws -> BearerToken
    ) {
        kind = .source(BearerTokenStore(leeway: max(leeway, .zero), fetchTimeout: fetchTimeout, fetch: fetch))
    }

    /// Adds the `Authorization` field; waits for a token if there is none.
    ///
    /// - Throws: ``ServiceError`` `authenticationFailed` or `deadlineExceeded`, any error of the source, or
    ///   `CancellationError`.
    public func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
        try await authenticate(&request, context: context, clock: context.clock)
    }

    package func authenticate(
        _ request: inout ServiceRequest, context: RequestContext, clock: any ServiceClock
    ) async throws {
        switch kind {
        case .fixed(let field): request.fields.append(field)
        case .source(let store): request.fields.append(try await store.field(context: context, clock: clock))
        }
    }

    /// Forgets the token that was sent, unless it was replaced meanwhile.
    ///
    /// - Returns: whether there is a source that can be asked for another token. A token younger than a second is kept:
    ///   the source has just returned it, and would otherwise be asked for every request.
    public func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
        otherCredentials(afterRefusalOf: request, response: response, clock: MonotonicClock()).canBeAsked
    }

    package func otherCredentials(
        afterRefusalOf request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> OtherCredentials {
        guard case .source(let store) = kind else { return OtherCredentials() }
        let sent = request.fields[values: .authorization].first { $0.hasPrefix(BearerToken.scheme) }
        return OtherCredentials(canBeAsked: store.refused(sent, now: clock.now))
    }

    package func hasOtherCredentials(context: RequestContext, clock: any ServiceClock) async throws -> Bool {
        guard case .source(let store) = kind else { return false }
        return try await store.hasOther(context: context, clock: clock)
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        guard case .source(let store) = kind else { return [] }
        return DurationRange.positive.problems(of: store.fetchTimeout, at: "\(path).fetchTimeout")
    }
}

extension BearerAuthentication: CustomStringConvertible, CustomReflectable {
    /// The scheme's name; not the token.
    public var description: String { "BearerAuthentication" }

    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
