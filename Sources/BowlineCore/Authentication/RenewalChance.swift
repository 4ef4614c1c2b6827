/// After a 401: which kinds of authenticators may have other credentials.
package struct RenewalChance: Sendable, Equatable {
    /// Whether one of Bowline's authenticators may have other credentials. If true, `renewCredentials` of this
    /// authenticator tries to get them.
    package var bowlineMayRenew: Bool
    /// Whether an authenticator that the user wrote claims to have other credentials. Such an authenticator could claim
    /// this after every 401.
    package var userClaimsRenewal: Bool

    package init(bowlineMayRenew: Bool = false, userClaimsRenewal: Bool = false) {
        self.bowlineMayRenew = bowlineMayRenew
        self.userClaimsRenewal = userClaimsRenewal
    }
}

/// The result of an attempt to renew refused credentials.
package enum CredentialRenewal: Sendable {
    /// There are credentials that the service has not refused.
    case renewed
    /// There are no other credentials.
    case notRenewed
}
