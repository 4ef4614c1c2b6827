internal import BowlineCore
internal import Synchronization

/// The number of idle connections of all routes, and its limit.
private final class IdleCount: Sendable {
    private let maximum: Int
    private let count = Atomic(0)

    init(maximum: Int) {
        self.maximum = maximum
    }

    var isTooHigh: Bool { count.load(ordering: .sequentiallyConsistent) > maximum }

    /// Changes the number. Returns whether it has grown beyond the limit.
    func change(by change: Int) -> Bool {
        let total = count.wrappingAdd(change, ordering: .sequentiallyConsistent).newValue
        return change > 0 && total > maximum
    }
}

/// The pools of all routes. Finds a route's pool, limits the total number of idle connections, and removes *cold* pools:
/// pools without a connection, a dial or a waiting request.
final class RoutePools: Sendable {
    fileprivate struct State {
        var pools: [Route: ConnectionPool] = [:]
        var isDraining = false
        var isClosed = false
        /// When there are this many pools, cold pools are removed before the next new pool is made.
        var purgeThreshold = 32
        /// How many connections the removed pools had opened and closed.
        var retired = RetiredCounts()
    }

    private let environment: TransportEnvironment
    private let configuration: PoolConfiguration
    private let state = Guarded(State())
    private let idle: IdleCount
    /// How often threads have found too many idle connections since one thread began to close them. 0: no thread is
    /// closing any.
    private let surplusSightings = Atomic(0)

    init(environment: TransportEnvironment) {
        self.environment = environment
        var configuration = PoolConfiguration(environment.options.pool)
        configuration.maximumMultiplexed = environment.options.http2.maximumConnectionsPerOrigin
        configuration.boundsDials = environment.options.connectTimeout != nil
        self.configuration = configuration
        idle = IdleCount(maximum: environment.options.pool.maximumIdle)
    }

    /// Returns the pool of `route`. Makes it on first use.
    func pool(for route: Route) -> ConnectionPool {
        let (pool, cold) = state.withLock { state -> (ConnectionPool, [ConnectionPool]) in
            if let pool = state.pools[route] { return (pool, []) }
            let cold = state.pools.count >= state.purgeThreshold ? state.purge() : []
            let pool = makePool(for: route)
            if state.isDraining { pool.beginDrain() }
            if state.isClosed { pool.closeAll(.forced) }
            state.pools[route] = pool
            return (pool, cold)
        }
        // The removed pools are released here, outside the lock.
        withExtendedLifetime(cold) {}
        return pool
    }

    private func makePool(for route: Route) -> ConnectionPool {
        let dialer = RouteDialer(route, environment: environment)
        var configuration = configuration
        configuration.expectation = expectation(for: route)
        let pool = ConnectionPool(
            configuration: configuration,
            dialer: dialer,
            clock: environment.clock,
            random: environment.options.random,
            // Runs twice per request. Changes the counter, and calls `RoutePools` only above the limit.
            idleCountChanged: { [idle, weak self] change in
                if idle.change(by: change) { self?.tooManyIdle() }
            },
            connectionRemoved: { [weak self] _, reason in
                if reason.mayLeaveOriginCold { self?.removeIfCold(route) }
            }
        )
        dialer.serve(pool)
        return pool
    }

    /// Returns what kind of connection a dial over the route is expected to make.
    private func expectation(for route: Route) -> DialExpectation {
        switch environment.options.http2.negotiation {
        case .http1Only: .single
        case .automatic: route.origin.scheme == .https ? .unknown : .single
        // The number of streams is not known, so one dial finds out.
        case .http2Only: route.isForwarded ? .single : .unknown
        }
    }

    /// Closes the surplus of idle connections, on one thread at a time, so that in a burst not every thread searches
    /// all pools. A thread that finds a surplus while another thread is closing only counts it. The closing thread then
    /// checks again, so no surplus stays.
    private func tooManyIdle() {
        guard surplusSightings.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue == 0 else { return }
        var seen: Int
        repeat {
            seen = surplusSightings.load(ordering: .sequentiallyConsistent)
            closeSurplus()
        } while !surplusSightings.compareExchange(expected: seen, desired: 0, ordering: .sequentiallyConsistent)
            .exchanged
    }

    /// Closes idle connections, of any route and the longest idle first, until their total is within the limit.
    private func closeSurplus() {
        guard idle.isTooHigh else { return }
        let pools = state.withLock { Array($0.pools.values) }
        // Each pool is asked once, and again only after it has closed a connection.
        var oldest = pools.compactMap { pool in pool.oldestIdleSince.map { (pool: pool, since: $0) } }
        while idle.isTooHigh,
            let index = oldest.indices.min(by: {
                (oldest[$0].since, oldest[$0].pool.number) < (oldest[$1].since, oldest[$1].pool.number)
            })
        {
            oldest[index].pool.evictOldestIdle(reason: .totalIdleCapacity)
            if let since = oldest[index].pool.oldestIdleSince {
                oldest[index].since = since
            } else {
                oldest.remove(at: index)
            }
        }
    }

    func removeIfCold(_ route: Route) {
        let pool = state.withLock { state -> ConnectionPool? in
            guard let pool = state.pools[route] else { return nil }
            return state.remove(pool, of: route) ? pool : nil
        }
        withExtendedLifetime(pool) {}
    }

    func beginDrain() {
        let pools = state.withLock { state in
            state.isDraining = true
            return state.pools.values.inOrder
        }
        for pool in pools { pool.beginDrain() }
    }

    func closeAll() {
        let pools = state.withLock { state in
            state.isClosed = true
            return state.pools.values.inOrder
        }
        for pool in pools { pool.closeAll(.forced) }
    }

    /// Whether everything was closed by force. If this is false, a pool is closed only because it had become cold, and
    /// another pool replaces it.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func snapshot() -> PoolSnapshot {
        let (pools, retired) = state.withLock { ($0.pools, $0.retired) }
        var total = retired
        var origins: [OriginPoolSnapshot] = []
        for (route, pool) in pools {
            let snapshot = pool.snapshot()
            total.add(snapshot)
            origins.append(OriginPoolSnapshot(route, snapshot))
        }
        origins.sort { $0.origin.description < $1.origin.description }
        return PoolSnapshot(origins: origins, opened: total.opened, closed: total.closed)
    }
}

/// How many connections the removed pools had opened and closed.
private struct RetiredCounts {
    var opened = 0
    var closed: [String: Int] = [:]

    mutating func add(_ snapshot: PoolCounts) {
        opened += snapshot.opened
        for (reason, count) in snapshot.closed { closed[reason.rawValue, default: 0] += count }
    }
}

extension RoutePools.State {
    /// Removes a pool that has become cold, and closes it in the same step. A request that has just found the pool is
    /// refused there and gets another pool. A cold pool has nothing to close, so none of its effects needs the lock of
    /// `RoutePools`.
    mutating func remove(_ pool: ConnectionPool, of route: Route, includingHopeless: Bool = false) -> Bool {
        guard pool.closeIfCold(includingHopeless: includingHopeless) else { return false }
        retired.add(pool.snapshot())
        pools[route] = nil
        return true
    }

    /// Removes the cold pools and returns them.
    mutating func purge() -> [ConnectionPool] {
        let cold = pools.filter { remove($0.value, of: $0.key, includingHopeless: true) }
        purgeThreshold = max(32, pools.count * 2)
        return cold.map(\.value)
    }
}

extension OriginPoolSnapshot {
    fileprivate init(_ route: Route, _ snapshot: PoolCounts) {
        self.init(
            origin: route.origin, proxy: route.proxy?.description, idle: snapshot.idle, active: snapshot.active,
            dialling: snapshot.dialling,
            waiting: snapshot.waiting, streams: snapshot.streams, opened: snapshot.opened,
            closed: Dictionary(uniqueKeysWithValues: snapshot.closed.map { ($0.key.rawValue, $0.value) })
        )
    }
}

extension PoolConfiguration {
    init(_ options: PoolOptions) {
        self.init()
        isEnabled = options.isEnabled
        idleTimeout = options.idleTimeout
        maximumIdle = options.maximumIdlePerOrigin
        maximumConnections = options.maximumPerOrigin
        maximumWaiting = options.maximumWaiting
        maximumLifetime = options.maximumLifetime
        maximumUses = options.maximumUses
        minimumIdle = options.minimumIdlePerOrigin
    }
}

extension CloseReason {
    /// Whether the connection was idle before, so that its origin may be unused now.
    fileprivate var mayLeaveOriginCold: Bool {
        switch self {
        case .idleTimeout, .totalIdleCapacity, .closedByPeer, .keepAliveTimeout, .lifetimeExceeded, .unsolicitedBytes,
            .goAway, .keepAliveFailed, .stale:
            true
        default: false
        }
    }
}
