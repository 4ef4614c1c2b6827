package import BowlineCore

/// The gates that a client's attempts pass, made once from its options. Derived clients may have other settings over the
/// same gates.
package final class GateSettings: Sendable {
    /// A user's store of tokens, and its limit.
    struct Supply: Sendable {
        let store: any RateLimitStore
        let limit: RateLimit
    }

    /// The rate gate; nil: attempts do not pass it. With a store, it has no pace of its own.
    let rate: RateRule?
    /// The store of tokens; nil: the tokens are in this process.
    let supply: Supply?
    /// The limit of the store.
    let supplyLimit: RateLimit?
    /// Whether the rate gate obeys the fields of the service's quota.
    let readsQuota: Bool
    let concurrency: ConcurrencyOptions?
    let breaker: BreakerOptions?

    /// Makes the settings; nil: attempts pass no gate.
    package init?(_ options: ResilienceOptions) {
        guard options.hasGates else { return nil }
        let rate = options.rate ?? RateOptions()
        supply = options.rate.flatMap { rate in
            let limit = RateLimit(perSecond: rate.perSecond, burst: rate.burst)
            return rate.store.map { Supply(store: $0, limit: limit) }
        }
        supplyLimit = supply?.limit
        let hasOwnPace = options.rate != nil && supply == nil
        let isUsed = options.rate != nil || options.sharesRetryAfter
        self.rate =
            isUsed
            ? RateRule(
                pace: hasOwnPace ? TokenSchedule.Pace(perSecond: rate.perSecond, burst: rate.burst) : nil,
                burst: rate.burst, maximumWait: rate.maximumWait) : nil
        readsQuota = options.rate != nil
        concurrency = options.concurrency
        breaker = options.breaker
    }
}
