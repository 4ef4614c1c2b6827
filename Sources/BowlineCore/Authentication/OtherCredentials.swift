/// Which authenticators may have other credentials after a 401.
package struct OtherCredentials: Sendable, Equatable {
    /// Whether one of Bowline's authenticators may have other credentials. Its `hasOtherCredentials` returns whether it
    /// has.
    package var canBeAsked: Bool
    /// Whether an authenticator that the user wrote claims to have other credentials. It could claim this after every
    /// 401.
    package var areClaimed: Bool

    package init(canBeAsked: Bool = false, areClaimed: Bool = false) {
        self.canBeAsked = canBeAsked
        self.areClaimed = areClaimed
    }
}
