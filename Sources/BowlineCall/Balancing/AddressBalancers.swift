internal import BowlineCore

/// The balancers of the client's origins. Their number is limited: the origins that were not used for longest are
/// forgotten.
final class AddressBalancers: Sendable {
    /// The maximum number of balancers. At this number, a quarter of them is removed, so that the search is rare.
    static let maximumOrigins = 1024

    private struct Entry {
        let balancer: AddressBalancer
        var lastUsed: MonotonicInstant
    }

    private let entries = Guarded<[Origin: Entry]>([:])
    let surroundings: BalancingSurroundings

    init(_ surroundings: BalancingSurroundings) {
        self.surroundings = surroundings
    }

    /// Returns the balancer of the URL's origin; nil: a request for this URL cannot choose an address.
    func balancer(for url: ServiceURL, at now: MonotonicInstant, _ options: BalancingOptions) -> AddressBalancer? {
        let origin = url.origin
        guard let listing = surroundings.addresses, !origin.isIPAddress, origin.socketPath == nil,
            listing.mayUseAddress(url)
        else { return nil }
        let known = entries.withLock { entries -> AddressBalancer? in
            guard let index = entries.index(forKey: origin) else { return nil }
            entries.values[index].lastUsed = now
            return entries.values[index].balancer
        }
        if let known { return known }
        if case .notChoosable = listing.knownAddresses(of: origin, now: now) { return nil }
        let made = AddressBalancer(Balancer(origin, options, surroundings), listing, surroundings)
        return entries.withLock { entries in
            if let known = entries[origin] { return known.balancer }
            if entries.count >= Self.maximumOrigins { Self.forget(&entries) }
            entries[origin] = Entry(balancer: made, lastUsed: now)
            return made
        }
    }

    /// Removes a quarter of the balancers: those without attempts in flight first, and of these the least recently used.
    private static func forget(_ entries: inout [Origin: Entry]) {
        let ordered = entries.map { ($0.key, $0.value.balancer.balancer.isBusy, $0.value.lastUsed) }.sorted {
            $0.1 == $1.1 ? $0.2 < $1.2 : !$0.1
        }
        for (origin, _, _) in ordered.prefix(maximumOrigins / 4) { entries[origin] = nil }
    }

    /// The number of balancers.
    var count: Int { entries.withLock { $0.count } }

    /// The balancers' states, in the order of their origins.
    func snapshot() -> [BalancerSnapshot] {
        let balancers = entries.withLock { $0.values.map(\.balancer.balancer) }
        return balancers.sorted { $0.origin.description < $1.origin.description }.map { $0.snapshot() }
    }
}
