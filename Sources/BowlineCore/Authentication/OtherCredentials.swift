/// Which authenticators may have other credentials after a 401.
package struct OtherCredentials: Sendable, Equatable {
    /// An authenticator of ours may have others: its `hasOtherCredentials` says whether it has.
    package var canBeAsked: Bool
    /// An authenticator of the user's says that it has others. It could say so after every 401.
    package var areClaimed: Bool

    package init(canBeAsked: Bool = false, areClaimed: Bool = false) {
        self.canBeAsked = canBeAsked
        self.areClaimed = areClaimed
    }
}
