internal import BowlineCore

/// Decides whether a request that a service answered with 401 may be sent once more with other credentials. Pure.
///
/// The second sending is an attempt of its own, but no retry. An authenticator of the user's takes from the origin's retry budget with
/// it: a service that refuses every request is not asked twice by every caller. An authenticator of ours does not: it knows which
/// credentials were refused, and asks for others at most once a second. When a token is replaced, all requests that were in flight
/// with the old one are sent again, however many they are.
enum CredentialPolicy {
    /// Whether other credentials are to be asked for.
    ///
    /// - Parameter others: The authenticator that has other credentials.
    static func mayRenew(after response: ServiceResponse, _ others: OtherCredentials, request: ServiceRequest) -> Bool {
        response.status.code == 401 && (others.canBeAsked || others.areClaimed) && request.body.isReplayable
    }
}
