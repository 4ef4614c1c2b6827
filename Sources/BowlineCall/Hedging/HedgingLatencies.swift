internal import BowlineCore

/// The latencies of a client's hedged scopes. All requests of the client and of its derived clients share them.
package final class HedgingLatencies: Sendable {
    /// The maximum number of scopes. At this number a quarter of them is removed: the least recently used. Many are
    /// removed at once, so that the search under the lock is rare.
    package static let maximumScopes = 1024

    private let scopes = Guarded<[PolicyScope: ScopeLatency]>([:])

    package init() {}

    /// The number of scopes.
    package var count: Int { scopes.withLock { $0.count } }

    /// Returns the latency of a scope; makes it if there is none.
    func latency(of scope: PolicyScope, at now: MonotonicInstant) -> ScopeLatency {
        scopes.withLock { scopes in
            if let known = scopes[scope] { return known }
            if scopes.count >= Self.maximumScopes {
                let ages = scopes.map { (scope: $0.key, lastUsed: $0.value.lastUsed) }
                let oldest = ages.sorted { $0.lastUsed < $1.lastUsed }.prefix(Self.maximumScopes / 4)
                for entry in oldest { scopes[entry.scope] = nil }
            }
            let made = ScopeLatency(at: now)
            scopes[scope] = made
            return made
        }
    }
}

/// The durations of the recent attempts to one scope, for any number of tasks.
final class ScopeLatency: Sendable {
    private struct State {
        var histogram: LatencyHistogram
        var lastUsed: MonotonicInstant
    }

    private let state: Guarded<State>

    init(at now: MonotonicInstant) {
        state = Guarded(State(histogram: LatencyHistogram(at: now), lastUsed: now))
    }

    /// When the latency was last asked for or recorded.
    var lastUsed: MonotonicInstant { state.withLock { $0.lastUsed } }

    func record(_ duration: Duration, at now: MonotonicInstant) {
        state.withLock { state in
            state.lastUsed = max(state.lastUsed, now)
            state.histogram.record(duration, at: now)
        }
    }

    /// Returns the time within which this share of the recent attempts has ended; nil: too few attempts are known.
    func percentile(_ share: Double, at now: MonotonicInstant) -> Duration? {
        state.withLock { state in
            state.lastUsed = max(state.lastUsed, now)
            return state.histogram.percentile(share, at: now)
        }
    }
}
