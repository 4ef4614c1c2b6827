internal import BowlineCore

/// Decides whether a request that a service answered with 401 may be sent once more with other credentials. Pure.
///
/// The second sending is a new attempt but not a retry. If an authenticator of the user requests it, it takes a retry
/// from the origin's retry budget, so that a service that refuses every request does not get each request twice. If an
/// authenticator of Bowline requests it, it takes nothing from the budget: that authenticator knows which credentials
/// were refused, and fetches others at most once a second. When a token is replaced, all requests that were in flight
/// with the old token are sent again, however many they are.
enum CredentialPolicy {
    /// Whether the request may be sent once more, if there are other credentials.
    ///
    /// - Parameter renewal: Who may have other credentials.
    static func mayRenew(after response: ServiceResponse, _ renewal: RenewalChance, request: ServiceRequest) -> Bool {
        response.status.code == 401 && (renewal.bowlineMayRenew || renewal.userClaimsRenewal)
            && request.body.isReplayable
    }
}
