internal import Bowline
internal import BowlineTesting

/// A store of the rate gate's tokens in memory: a token bucket for each scope. It takes time, and may fail.
// Safety: used on the simulation's thread only.
final class PoliciesStore: RateLimitStore, @unchecked Sendable {
    private struct Bucket {
        var tokens: Double
        var filled: MonotonicInstant
    }

    private struct Failure: Error {}

    private let log: PoliciesLog
    private let plan: PoliciesPlan.Store
    private let random: @Sendable () -> Double
    private var buckets: [PolicyScope: Bucket] = [:]

    init(_ log: PoliciesLog, _ plan: PoliciesPlan.Store) {
        self.log = log
        self.plan = plan
        random = log.time.makeRandom("store").source()
    }

    func take(_ count: Int, of scope: PolicyScope, limit: RateLimit) async throws -> RateLimitGrant {
        if plan.delay > .zero { try await log.time.sleep(for: plan.delay) }
        guard random() >= plan.failureChance else {
            log.count("store failed")
            throw Failure()
        }
        let now = log.time.now
        var bucket = buckets[scope] ?? Bucket(tokens: Double(limit.burst), filled: now)
        let passed = bucket.filled.duration(to: now) / .seconds(1)
        bucket.tokens = min(Double(limit.burst), bucket.tokens + passed * limit.perSecond)
        bucket.filled = now
        let granted = min(count, Int(bucket.tokens))
        bucket.tokens -= Double(granted)
        buckets[scope] = bucket
        log.count("store asked")
        log.time.note("store: \(granted) of \(count) tokens of \(scope)")
        return RateLimitGrant(count: granted, retryAfter: .seconds((1 - min(bucket.tokens, 1)) / limit.perSecond))
    }
}
