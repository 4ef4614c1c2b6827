package import BowlineCore

/// The balancers of a client and of its derived clients: one for each origin, for the addresses of its host, and one
/// for each list or sequence of base URLs.
package final class Balancers: Sendable {
    /// The number of lists and sequences from which on a list is forgotten if no client uses it any more.
    static let usualLists = 64

    /// A list of endpoints, or a sequence of lists.
    private enum ListKey: Hashable {
        case fixed([ServiceEndpoint])
        case updates(ObjectIdentifier)
    }

    private struct Lists {
        var balancers: [ListKey: ListBalancer] = [:]
        /// The keys, in the order in which they were made.
        var order: [ListKey] = []
        var isClosed = false

        /// Removes the oldest list that no client uses. Sequences stay, because they can be read only once.
        mutating func forgetOne() {
            for (place, key) in order.enumerated() {
                guard case .fixed = key, var list = balancers.removeValue(forKey: key) else { continue }
                if isKnownUniquelyReferenced(&list) {
                    order.remove(at: place)
                    return
                }
                balancers[key] = list
            }
        }
    }

    private let base: ServiceURL?
    private let surroundings: BalancingSurroundings
    private let addresses: AddressBalancers
    private let lists = Guarded(Lists())

    /// - Parameters:
    ///   - base: The base URL that the client was made with. Lists of base URLs replace it, for derived clients too. nil:
    ///     there is none, and requests are not balanced over base URLs.
    ///   - transport: The client's transport.
    ///   - events: Delivers the changes of endpoints; nil: there are no listeners.
    ///   - random: Returns random numbers from 0 up to 1.
    package init(
        base: ServiceURL?, transport: any ServiceTransport, events: EventDispatch?, clock: any ServiceClock,
        random: @escaping @Sendable () -> Double
    ) {
        self.base = base
        surroundings = BalancingSurroundings(
            addresses: transport as? any AddressListing, events: events, clock: clock, random: random)
        addresses = AddressBalancers(surroundings)
    }

    /// Returns the balancing of the attempts of a client with these options; nil: its attempts cannot be balanced.
    package func attempts(_ options: BalancingOptions) -> AttemptBalancing? {
        switch options.endpoints {
        case .addresses: AttemptBalancing(options, .addresses(addresses))
        case .fixed(let endpoints): list(.fixed(endpoints), options).map { AttemptBalancing(options, .list($0)) }
        case .updates(let updates):
            list(.updates(ObjectIdentifier(updates)), options).map { AttemptBalancing(options, .list($0)) }
        }
    }

    /// Returns the balancer of a list. Derived clients with the same list share it.
    private func list(_ key: ListKey, _ options: BalancingOptions) -> ListBalancer? {
        guard let base else { return nil }
        return lists.withLock { lists in
            if let known = lists.balancers[key] { return known }
            let made = ListBalancer(
                options.endpoints, base: base, Balancer(base.origin, options, surroundings), surroundings)
            if lists.isClosed { made.close() }
            if lists.order.count >= Self.usualLists { lists.forgetOne() }
            lists.balancers[key] = made
            lists.order.append(key)
            return made
        }
    }

    /// The states of all balancers: base URLs first, then the addresses of each origin.
    package func snapshot() -> [BalancerSnapshot] {
        let made = lists.withLock { lists in lists.order.compactMap { lists.balancers[$0]?.balancer } }
        return made.map { $0.snapshot() } + addresses.snapshot()
    }

    /// Ends the tasks that read sequences. Called when the client has shut down.
    package func close() {
        let made = lists.withLock { lists in
            lists.isClosed = true
            return Array(lists.balancers.values)
        }
        for list in made { list.close() }
    }
}
