internal import BowlineCore

/// Decides whether a request that a service answered with 401 may be sent once more with other credentials. Pure.
///
/// The second sending is a new attempt but not a retry. A second sending for an authenticator of the user takes a retry
/// from the origin's retry budget. Without this, a service that refuses every request would get each request twice. A
/// second sending for an authenticator of Bowline takes nothing from the budget, because this authenticator knows which
/// credentials were refused, and fetches others at most once a second. When a token is replaced, all requests that were
/// in flight with the old token may be sent again, however many they are.
enum CredentialPolicy {
    /// Returns whether the request may be sent once more, provided that there are other credentials.
    ///
    /// - Parameter renewal: Which kinds of authenticators may have other credentials.
    static func mayRenew(after response: ServiceResponse, _ renewal: RenewalChance, request: ServiceRequest) -> Bool {
        response.status.code == 401 && (renewal.bowlineMayRenew || renewal.userClaimsRenewal)
            && request.body.isReplayable
    }
}
