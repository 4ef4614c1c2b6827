/// An authenticator that adds a token to each request (RFC 6750). The token is fixed, or it comes from a source: a
/// function that the authenticator calls when it needs a token.
///
/// The source is called in three cases: for the first request, shortly before the token expires, and after a 401. All
/// requests that wait at the same time share one call. Shortly before the token expires no request waits: requests go
/// on with the old token. After a 401 the request is sent once more if its body can be sent again. Copies of an
/// authenticator share the token, also between clients. The description does not contain the token.
///
/// ```swift
/// $0.authentication = BearerAuthentication {
///     let answer = try await identity.post("token").decode(Answer.self)
///     return BearerToken(answer.accessToken, lifetime: .seconds(answer.expiresIn))
/// }
/// ```
/// If the source sends its requests with the same client, set `options.authenticates` to false for them. If this client
/// has gates (`configuration.resilience`), set `options.policyScope` too: the attempts that wait for the token hold their
/// places at the gates of their own scope, and the source's request would wait for them.
public struct BearerAuthentication: RequestAuthenticator, BoundedAuthenticator {
    private enum Kind: Sendable {
        case fixed(HTTPField)
        case source(BearerTokenStore)
    }

    private let kind: Kind

    /// Makes an authenticator with a token that never changes.
    ///
    /// - Throws: ``ServiceError`` `invalidConfiguration`: the token is empty, or has a character that is not visible
    ///   ASCII.
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
    ///   - leeway: How long before a token expires the next token is fetched, at most half of the token's lifetime.
    ///     Requests go on with the old token meanwhile. A negative leeway counts as zero. Default 30 s.
    ///   - fetchTimeout: How long the source may take. Requests that wait longer fail. Greater than zero, checked when
    ///     the client is made. Default 30 s.
    ///   - fetch: Returns a token. Runs in its own task, without a deadline. The task is cancelled when it takes longer
    ///     than `fetchTimeout`, or when no request waits for it any more. But a fetch that began while the old token
    ///     was still valid goes on even if no request waits. If it takes too long, the next request cancels it and
    ///     begins another. If `fetch` throws a ``ServiceError`` because its own service is down, slow or busy (429,
    ///     5xx), the client's `retry` policy retries the waiting requests. After any other error the waiting requests
    ///     fail with `authenticationFailed`, and the next request calls `fetch` again.
    public init(
        leeway: Duration = .seconds(30), fetchTimeout: Duration = .seconds(30),
        fetch: @escaping @Sendable () async throws -> BearerToken
    ) {
        kind = .source(BearerTokenStore(leeway: max(leeway, .zero), fetchTimeout: fetchTimeout, fetch: fetch))
    }

    /// Adds the `Authorization` field. Waits for a token if there is none.
    ///
    /// - Throws: ``ServiceError`` `authenticationFailed`, `deadlineExceeded` or `forciblyClosed`; any error of the
    ///   source; `CancellationError`.
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

    /// Forgets the token that the service refused, unless another token has replaced it already.
    ///
    /// - Returns: whether there is a source that may return another token. A token that was fetched less than a second
    ///   ago is kept, and the result is false. Without this rule, a service that refuses every token would cause a
    ///   fetch for each request.
    public func credentialsRefused(_ request: ServiceRequest, response: ServiceResponse) -> Bool {
        recordRefusal(of: request, response: response, clock: MonotonicClock()).bowlineMayRenew
    }

    package func recordRefusal(
        of request: ServiceRequest, response: ServiceResponse, clock: any ServiceClock
    ) -> RenewalChance {
        guard case .source(let store) = kind else { return RenewalChance() }
        let sent = request.fields[values: .authorization].first { $0.hasPrefix(BearerToken.scheme) }
        return RenewalChance(bowlineMayRenew: store.recordRefusal(of: sent, now: clock.now))
    }

    package func renewCredentials(context: RequestContext, clock: any ServiceClock) async throws -> CredentialRenewal {
        guard case .source(let store) = kind else { return .notRenewed }
        return try await store.renewToken(context: context, clock: clock)
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        guard case .source(let store) = kind else { return [] }
        return DurationRange.positive.problems(of: store.fetchTimeout, at: "\(path).fetchTimeout")
    }
}

extension BearerAuthentication: CustomStringConvertible, CustomReflectable {
    /// The type's name. Does not contain the token.
    public var description: String { "BearerAuthentication" }

    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
