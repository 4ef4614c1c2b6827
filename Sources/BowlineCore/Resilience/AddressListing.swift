/// A transport that can send a request to a chosen address of its host (``AttemptPlacement/address``).
package protocol AddressListing: ServiceTransport {
    /// Returns the addresses of an origin's host, in the order of the resolver; nil: requests to this origin cannot
    /// choose (a proxy resolves the name, the host is an address or `localhost`, or the origin is a Unix domain socket).
    ///
    /// Uses the transport's cache of names. Waits for a look-up only if no addresses are known, at most until `deadline`
    /// or `timeouts.connect`. When known addresses are out of date, the transport looks the host up again in the
    /// background, and they stay known until the answer is there.
    ///
    /// - Throws: ``ServiceError`` `nameResolutionFailed`, `connectTimeout` or `deadlineExceeded`, all `neverSent`;
    ///   `CancellationError` at once when the task is cancelled.
    func addresses(of origin: Origin, deadline: Deadline?) async throws -> [IPAddress]?

    /// Returns what ``addresses(of:deadline:)`` would return without a wait; `.none`: it would have to wait.
    func knownAddresses(of origin: Origin, now: MonotonicInstant) -> KnownAddresses

    /// Whether a request for this URL may go to an address of its host; false: it uses a proxy.
    func mayUseAddress(_ url: ServiceURL) -> Bool

    /// Closes the pools of addresses that the host no longer has: idle connections close, and the others close when
    /// their requests have ended. Requests that have chosen such an address are still sent to it. If an address comes
    /// back, its pool goes on as before.
    func keepOnly(_ addresses: [IPAddress], of origin: Origin)
}

extension AddressListing {
    package func mayUseAddress(_ url: ServiceURL) -> Bool { true }
}

/// The addresses of a host that are known without a wait.
package enum KnownAddresses: Sendable, Equatable {
    /// These addresses. The list may be empty only if the resolver said so.
    case known([IPAddress])
    /// Requests to this origin cannot choose an address.
    case notChoosable
    /// A look-up is needed.
    case unknown
}
