/// Bounds one origin's pool. `nil` means no limit.
struct PoolConfiguration: Sendable, Hashable {
    /// Whether connections are used again. When false each lease dials and each release closes. Default: true.
    var isEnabled = true
    /// How long a connection may be idle before a timer closes it. Zero: none ever is. Default: 90 s.
    var idleTimeout: Duration? = .seconds(90)
    /// How many connections may be idle; at the limit the one idle longest is closed. Default: 64, at least 0.
    var maximumIdle = 64
    /// How many connections may exist, active, idle and dialling together. Default: 256; less than 1 counts as 1.
    /// As many as `maximumMultiplexed` do not count while they take no new requests: retired or doubted ones with streams.
    var maximumConnections: Int? = 256
    /// How many connections with streams may be open or on their way; those that only finish what they carry do not
    /// count. Default: 4; less than 1 counts as 1.
    var maximumMultiplexed = 4
    /// Whether dials are expected to make connections with streams. Default: `.single`.
    var expectation = DialExpectation.single
    /// How many requests may wait beyond those for which a connection is being dialled. Default: 10,000, at least 0.
    var maximumWaiting: Int? = 10_000
    /// How old a connection may be when it next becomes idle; a request is never cut. Default: 10 min.
    var maximumLifetime: Duration? = .seconds(600)
    /// The share of `maximumLifetime` by which one connection's lifetime may differ, either way, so that connections
    /// made together do not end together. Default: 0.1, range 0…1.
    var lifetimeJitter = 0.1
    /// How many requests a connection may serve. Default: `nil`; less than 1 counts as 1.
    var maximumUses: Int?
    /// How many idle connections to keep by dialling new ones. No more than `maximumIdle`. Default: 0.
    var minimumIdle = 0
    /// Whether each dial ends in bounded time by itself. When false, a request that has waited for its limit does not wait
    /// for the end of the dial that is under way for it. Default: true.
    var boundsDials = true

    init() {}
}

extension PoolConfiguration {
    /// The same bounds with what contradicts itself brought into range.
    ///
    /// The client's configuration is validated before it comes here; this keeps a slip from stalling a pool for ever.
    func normalized() -> PoolConfiguration {
        var copy = self
        copy.maximumIdle = max(0, maximumIdle)
        copy.maximumConnections = maximumConnections.map { max(1, $0) }
        copy.maximumMultiplexed = max(1, maximumMultiplexed)
        // A connection that serves one request has no use for streams.
        if !isEnabled { copy.expectation = .single }
        copy.maximumWaiting = maximumWaiting.map { max(0, $0) }
        copy.maximumUses = maximumUses.map { max(1, $0) }
        copy.lifetimeJitter = min(max(0, lifetimeJitter), 1)
        copy.minimumIdle = isEnabled ? min(max(0, minimumIdle), copy.maximumIdle) : 0
        return copy
    }
}
