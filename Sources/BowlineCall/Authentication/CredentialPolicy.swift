internal import BowlineCore

/// Decides whether a request that a service answered with 401 may be sent once more with other credentials. Pure.
///
/// The second sending is an attempt of its own, but no retry. If an authenticator of the user's asks for it, it takes
/// from the origin's retry budget, so that a service that refuses every request does not get each request twice. If an
/// authenticator of Bowline's asks for it, it does not: that authenticator knows which credentials were refused, and
/// fetches others at most once a second. When a token is replaced, all requests that were in flight with the old one
/// are sent again, however many they are.
enum CredentialPolicy {
    /// Whether to find out if there are other credentials.
    ///
    /// - Parameter others: Which authenticators may have other credentials.
    static func mayRenew(after response: ServiceResponse, _ others: OtherCredentials, request: ServiceRequest) -> Bool {
        response.status.code == 401 && (others.canBeAsked || others.areClaimed) && request.body.isReplayable
    }
}
