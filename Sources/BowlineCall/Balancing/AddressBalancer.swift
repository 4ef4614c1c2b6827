internal import BowlineCore

/// Distributes the attempts for one origin over the addresses of its host.
///
/// The addresses come from the transport, which keeps them and renews them. Attempts for a host without known addresses
/// wait for a look-up, which they share.
final class AddressBalancer: Sendable {
    enum Readiness {
        case ready
        /// The transport chooses the address.
        case notBalanced
        /// A look-up is needed: ``AddressBalancer/lookUp(for:)``.
        case unknown
    }

    private struct State {
        var addresses: [IPAddress] = []
        var lookUp: SharedWork<Readiness>?
    }

    let balancer: Balancer
    private let listing: any AddressListing
    private let surroundings: BalancingSurroundings
    private let state = Guarded(State())

    init(_ balancer: Balancer, _ listing: any AddressListing, _ surroundings: BalancingSurroundings) {
        self.balancer = balancer
        self.listing = listing
        self.surroundings = surroundings
    }

    deinit {
        // The look-up keeps the transport.
        state.withLock { $0.lookUp }?.cancel()
    }

    /// Returns whether attempts can be given to addresses. Does not wait.
    func readiness(at now: MonotonicInstant) -> Readiness {
        switch listing.knownAddresses(of: balancer.origin, now: now) {
        case .known(let addresses): found(addresses)
        case .notChoosable: .notBalanced
        case .unknown: .unknown
        }
    }

    /// Waits for the addresses, at most until the call's deadline. A drain ends the wait of a retry and of a hedge.
    ///
    /// - Throws: ``ServiceError``, an error of the look-up; `CancellationError`.
    func lookUp(for context: RequestContext) async throws -> Readiness {
        let lookUp = startedLookUp()
        return try await context.waitUnlessDraining(balancer.origin) { [surroundings] in
            try await lookUp.value(until: context.deadline?.instant, clock: surroundings.clock, call: context.call)
        }
    }

    /// Returns the look-up that is under way, or starts one. It has no deadline of a call, because calls share it; the
    /// transport limits it to `timeouts.connect`.
    private func startedLookUp() -> SharedWork<Readiness> {
        let (work, isNew) = state.withLock { state in
            if let lookUp = state.lookUp { return (lookUp, false) }
            let work = SharedWork<Readiness>()
            state.lookUp = work
            return (work, true)
        }
        guard isNew else { return work }
        let (listing, origin) = (listing, balancer.origin)
        work.start { [weak self] in
            let addresses: [IPAddress]?
            do {
                addresses = try await listing.addresses(of: origin, deadline: nil)
            } catch {
                self?.state.withLock { $0.lookUp = nil }
                throw error
            }
            guard let self else { return .notBalanced }
            state.withLock { $0.lookUp = nil }
            return addresses.map { self.found($0) } ?? .notBalanced
        }
        return work
    }

    /// Uses the addresses of the host from now on. The pools of addresses that it no longer has drain.
    private func found(_ addresses: [IPAddress]) -> Readiness {
        let isChanged = state.withLock { state in
            guard addresses != state.addresses else { return false }
            let isChanged = Set(addresses) != Set(state.addresses)
            state.addresses = addresses
            return isChanged
        }
        if isChanged { use(addresses) }
        return addresses.isEmpty ? .notBalanced : .ready
    }

    /// Gives the addresses to the balancer and to the transport, outside the lock. If there are other addresses by
    /// then, gives them these, too: otherwise a thread that was slow could leave them with an old list.
    private func use(_ addresses: [IPAddress]) {
        var used = addresses
        while true {
            var listed = Set<IPAddress>()
            let listings = used.filter { listed.insert($0).inserted }.map {
                EndpointListing(place: .address($0, balancer.origin))
            }
            balancer.replace(by: listings)
            listing.keepOnly(listings.compactMap(\.place.address), of: balancer.origin)
            let current = state.withLock { $0.addresses }
            guard Set(current) != listed else { return }
            used = current
        }
    }
}

extension BalancedEndpoint {
    /// The address; nil: the endpoint is a base URL.
    var address: IPAddress? {
        if case .address(let address, _) = self { address } else { nil }
    }
}
