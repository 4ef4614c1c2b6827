/// The chance of other credentials after a 401: who may have them.
package struct RenewalChance: Sendable, Equatable {
    /// Whether one of Bowline's authenticators may have other credentials. Its `canRenewCredentials` returns whether it
    /// has some.
    package var bowlineMayRenew: Bool
    /// Whether an authenticator that the user wrote claims to have other credentials. It could claim this after every
    /// 401.
    package var userClaimsRenewal: Bool

    package init(bowlineMayRenew: Bool = false, userClaimsRenewal: Bool = false) {
        self.bowlineMayRenew = bowlineMayRenew
        self.userClaimsRenewal = userClaimsRenewal
    }
}
