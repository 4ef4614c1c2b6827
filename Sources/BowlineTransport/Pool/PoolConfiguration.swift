/// The limits of one route's pool. `nil` means no limit.
struct PoolConfiguration: Sendable, Hashable {
    /// Whether connections are reused. If false, each lease dials and each release closes. Default: true.
    var isEnabled = true
    /// How long a connection may be idle before a timer closes it. Zero: no connection stays idle. Default: 90 s.
    var idleTimeout: Duration? = .seconds(90)
    /// How many connections may be idle. At the limit, the one that has been idle longest is closed. Default: 64, at
    /// least 0.
    var maximumIdle = 64
    /// How many connections may exist: active, idle and dialling together. Default: 256; less than 1 counts as 1.
    /// Retired connections, and those whose peer may be gone (doubted), take no new requests: up to
    /// `maximumMultiplexed` of them do not count.
    var maximumConnections: Int? = 256
    /// How many multiplexed connections may be open or being dialled. Retired and doubted ones do not count. Default:
    /// 4; less than 1 counts as 1.
    var maximumMultiplexed = 4
    /// The kind of connection that a dial is expected to make, before a dial has succeeded. Default: `.single`.
    var expectation = DialExpectation.single
    /// How many requests may wait, besides those for which a connection is being dialled. Default: 10,000, at least 0.
    var maximumWaiting: Int? = 10_000
    /// How old a connection may be when it becomes idle again; requests are never interrupted. Default: 10 min.
    var maximumLifetime: Duration? = .seconds(600)
    /// The share of `maximumLifetime` by which the lifetime of a connection varies in both directions, so that
    /// connections made together do not end together. Default: 0.1, range 0…1.
    var lifetimeJitter = 0.1
    /// How many requests a connection may serve. Default: `nil`; less than 1 counts as 1.
    var maximumUses: Int?
    /// How many idle connections the pool keeps ready. If there are fewer, it dials new ones. At most `maximumIdle`.
    /// Default: 0.
    var minimumIdle = 0
    /// Whether the dialer limits the time of each dial. If false, a request fails when its `maximumWait` has passed,
    /// even if a dial is under way for it. Default: true.
    var boundsDials = true

    init() {}
}

extension PoolConfiguration {
    /// Returns these limits with contradictory values brought into range.
    ///
    /// The client has already validated its configuration. If that misses a mistake, these corrections keep the pool
    /// from stalling forever.
    func normalized() -> PoolConfiguration {
        var copy = self
        copy.maximumIdle = max(0, maximumIdle)
        copy.maximumConnections = maximumConnections.map { max(1, $0) }
        copy.maximumMultiplexed = max(1, maximumMultiplexed)
        // A connection that serves one request does not need streams.
        if !isEnabled { copy.expectation = .single }
        copy.maximumWaiting = maximumWaiting.map { max(0, $0) }
        copy.maximumUses = maximumUses.map { max(1, $0) }
        copy.lifetimeJitter = min(max(0, lifetimeJitter), 1)
        copy.minimumIdle = isEnabled ? min(max(0, minimumIdle), copy.maximumIdle) : 0
        return copy
    }
}
