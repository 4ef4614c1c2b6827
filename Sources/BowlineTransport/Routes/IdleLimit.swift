internal import Synchronization

/// A limit of the idle connections of several pools together: of all pools, or of the pools of one origin's addresses.
///
/// The pools report each change. Above the limit, the connections that have been idle longest are closed.
final class IdleLimit: Sendable {
    private let maximum: Int
    /// Why connections above the limit close.
    private let reason: CloseReason
    private let count = Atomic(0)
    /// How often threads have found too many idle connections since one thread began to close them. 0: no thread is
    /// closing any.
    private let surplusSightings = Atomic(0)

    init(maximum: Int, reason: CloseReason) {
        self.maximum = maximum
        self.reason = reason
    }

    /// Changes the number of idle connections. Returns whether it has grown beyond the limit: then call
    /// ``closeSurplus(of:)``.
    func change(by change: Int) -> Bool {
        let total = count.wrappingAdd(change, ordering: .sequentiallyConsistent).newValue
        return change > 0 && total > maximum
    }

    private var isExceeded: Bool { count.load(ordering: .sequentiallyConsistent) > maximum }

    /// Closes the surplus of idle connections, on one thread at a time, so that in a burst not every thread searches
    /// all pools. A thread that finds a surplus while another thread is closing only counts it. The closing thread then
    /// checks again, so no surplus stays.
    ///
    /// - Parameter pools: Returns the pools that the limit counts.
    func closeSurplus(of pools: () -> [ConnectionPool]) {
        guard surplusSightings.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue == 0 else { return }
        var seen: Int
        repeat {
            seen = surplusSightings.load(ordering: .sequentiallyConsistent)
            if isExceeded { close(pools()) }
        } while !surplusSightings.compareExchange(expected: seen, desired: 0, ordering: .sequentiallyConsistent)
            .exchanged
    }

    /// Closes idle connections of any pool, the longest idle first, until their total is within the limit.
    private func close(_ pools: [ConnectionPool]) {
        // Each pool is asked once, and again only after it has closed a connection.
        var oldest = pools.compactMap { pool in pool.oldestIdleSince.map { (pool: pool, since: $0) } }
        while isExceeded,
            let index = oldest.indices.min(by: {
                (oldest[$0].since, oldest[$0].pool.number) < (oldest[$1].since, oldest[$1].pool.number)
            })
        {
            oldest[index].pool.evictOldestIdle(reason: reason)
            if let since = oldest[index].pool.oldestIdleSince {
                oldest[index].since = since
            } else {
                oldest.remove(at: index)
            }
        }
    }
}
