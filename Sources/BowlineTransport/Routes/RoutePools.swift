internal import BowlineCore

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
        /// The limits of the idle connections of all addresses of an origin, and how many pools each limit has.
        var addressLimits: [Origin: (limit: IdleLimit, pools: Int)] = [:]
    }

    private let environment: TransportEnvironment
    private let configuration: PoolConfiguration
    private let state = Guarded(State())
    /// The limit over all routes.
    private let idle: IdleLimit

    init(environment: TransportEnvironment) {
        self.environment = environment
        var configuration = PoolConfiguration(environment.options.pool)
        configuration.maximumMultiplexed = environment.options.http2.maximumConnectionsPerOrigin
        configuration.boundsDials = environment.options.connectTimeout != nil
        self.configuration = configuration
        idle = IdleLimit(maximum: environment.options.pool.maximumIdle, reason: .totalIdleCapacity)
    }

    /// Returns the pool of `route`. Makes it on first use.
    func pool(for route: Route) -> ConnectionPool {
        let (pool, cold) = state.withLock { state -> (ConnectionPool, [ConnectionPool]) in
            if let pool = state.pools[route] { return (pool, []) }
            let cold = state.pools.count >= state.purgeThreshold ? state.purge() : []
            let pool = makePool(for: route, state.addressLimit(of: route, configuration))
            if state.isDraining { pool.beginDrain() }
            if state.isClosed { pool.closeAll(.forced) }
            state.pools[route] = pool
            return (pool, cold)
        }
        // The removed pools are released here, outside the lock.
        withExtendedLifetime(cold) {}
        return pool
    }

    /// - Parameter addressLimit: The limit of the idle connections of all addresses of the origin; nil: the route has no
    ///   address.
    private func makePool(for route: Route, _ addressLimit: IdleLimit?) -> ConnectionPool {
        let dialer = RouteDialer(route, environment: environment)
        var configuration = configuration
        configuration.expectation = expectation(for: route)
        let pool = ConnectionPool(
            configuration: configuration,
            dialer: dialer,
            clock: environment.clock,
            random: environment.options.random,
            idleCountChanged: idleCountChanged(of: route.origin, addressLimit),
            connectionRemoved: { [weak self] _, reason in self?.connectionRemoved(from: route, reason) }
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

    /// Returns what runs twice per request. It changes a counter, and calls `RoutePools` only above a limit.
    private func idleCountChanged(of origin: Origin, _ addressLimit: IdleLimit?) -> @Sendable (Int) -> Void {
        guard let addressLimit else {
            return { [idle, weak self] change in
                if idle.change(by: change) { self?.tooManyIdle() }
            }
        }
        return { [idle, weak self] change in
            if addressLimit.change(by: change) {
                addressLimit.closeSurplus { self?.pools { $0.address != nil && $0.origin == origin } ?? [] }
            }
            if idle.change(by: change) { self?.tooManyIdle() }
        }
    }

    private func tooManyIdle() {
        idle.closeSurplus { state.withLock { Array($0.pools.values) } }
    }

    private func pools(where isIncluded: (Route) -> Bool) -> [ConnectionPool] {
        state.withLock { state in state.pools.filter { isIncluded($0.key) }.map(\.value) }
    }

    private func connectionRemoved(from route: Route, _ reason: CloseReason) {
        if reason.mayLeaveOriginCold {
            removeIfCold(route)
        } else if route.address != nil {
            // Another address of the origin may have all the idle connections that its limit allows.
            let isSurplus = reason == .idleCapacity && configuration.maximumIdle > 0
            removeIfCold(route, onlyIfDraining: !isSurplus)
        }
    }

    func removeIfCold(_ route: Route, onlyIfDraining: Bool = false) {
        let pool = state.withLock { state -> ConnectionPool? in
            guard let pool = state.pools[route], !onlyIfDraining || pool.isDraining else { return nil }
            return state.remove(pool, of: route) ? pool : nil
        }
        withExtendedLifetime(pool) {}
    }

    /// Closes the pools of addresses that the origin's host no longer has. Their idle connections close at once, and the
    /// others when their requests have ended. Until then, the pools still serve requests that have chosen such an
    /// address. A pool whose address has come back goes on as before.
    func keepOnly(_ addresses: [IPAddress], of origin: Origin) {
        let pools = state.withLock { state in
            state.pools.filter { $0.key.address != nil && $0.key.origin == origin }
        }
        for (route, pool) in pools {
            guard let address = route.address else { continue }
            if addresses.contains(address) {
                pool.endDrain()
            } else {
                pool.beginDrain(.addressGone)
                removeIfCold(route)
            }
        }
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

    /// Whether all pools drain, because the client shuts down.
    var isDraining: Bool { state.withLock { $0.isDraining } }

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
        origins.sort { ($0.origin.description, $0.place) < ($1.origin.description, $1.place) }
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
        if route.address != nil, let (limit, count) = addressLimits[route.origin] {
            addressLimits[route.origin] = count == 1 ? nil : (limit, count - 1)
        }
        return true
    }

    /// Returns the limit for the idle connections of a new pool and of the other addresses of its origin; nil: the route
    /// has no address.
    mutating func addressLimit(of route: Route, _ configuration: PoolConfiguration) -> IdleLimit? {
        guard route.address != nil else { return nil }
        let (limit, count) =
            addressLimits[route.origin] ?? (IdleLimit(maximum: configuration.maximumIdle, reason: .idleCapacity), 0)
        addressLimits[route.origin] = (limit, count + 1)
        return limit
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
            origin: route.origin, proxy: route.proxy?.description, address: route.address, idle: snapshot.idle,
            active: snapshot.active,
            dialling: snapshot.dialling,
            waiting: snapshot.waiting, streams: snapshot.streams, opened: snapshot.opened,
            closed: Dictionary(uniqueKeysWithValues: snapshot.closed.map { ($0.key.rawValue, $0.value) })
        )
    }

    /// The order of an origin's pools.
    fileprivate var place: String { proxy ?? address?.description ?? "" }
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
            .goAway, .keepAliveFailed, .stale, .addressGone:
            true
        default: false
        }
    }
}
