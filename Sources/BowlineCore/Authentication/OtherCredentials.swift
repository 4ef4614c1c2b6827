/// The authenticator that has other credentials after a 401.
@usableFromInline
package struct OtherCredentials: Sendable, Equatable {
    /// An authenticator of ours. It knows which were refused, and its `hasOtherCredentials` says whether there are others.
    package var areKnown: Bool
    /// An authenticator of the user's, which could say so for ever.
    package var areClaimed: Bool

    @usableFromInline
    package init(areKnown: Bool = false, areClaimed: Bool = false) {
        self.areKnown = areKnown
        self.areClaimed = areClaimed
    }
}
