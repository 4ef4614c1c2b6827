/// A place that keeps the tokens of rate limits, so that several processes can share one quota.
///
/// The rate gate asks the store for tokens, usually for several at once. A store with a round trip should answer
/// quickly, and must answer while its service is away: a store that throws is replaced by a bucket in this process until
/// it answers again. See `Docs/Resilience.md`, and `Examples/FleetLimit` for a store over Redis.
public protocol RateLimitStore: Sendable {
    /// Takes tokens of a scope. Called in a task without the task-local values of any call, such as its deadline, because
    /// the tokens are for all calls.
    ///
    /// - Parameters:
    ///   - count: How many tokens are wanted, 1 or more.
    ///   - scope: The scope of the limit.
    ///   - limit: The limit of the scope.
    /// - Returns: How many tokens were taken now, and when to ask again if there are too few.
    /// - Throws: Any error, if the store cannot answer. `CancellationError` when the task is cancelled.
    func take(_ count: Int, of scope: PolicyScope, limit: RateLimit) async throws -> RateLimitGrant
}

/// A rate limit: tokens per second, and how many may be taken at once after a pause.
public struct RateLimit: Sendable, Hashable {
    /// Tokens per second on average.
    public let perSecond: Double
    /// The most tokens that can be taken at once.
    public let burst: Int

    /// Makes a limit.
    public init(perSecond: Double, burst: Int) {
        self.perSecond = perSecond
        self.burst = burst
    }
}

/// The answer of a ``RateLimitStore``.
public struct RateLimitGrant: Sendable, Hashable {
    /// How many tokens were taken: 0 to the number that was wanted.
    public let count: Int
    /// After which time the next token is expected; zero if all wanted tokens were taken.
    public let retryAfter: Duration

    /// Makes an answer.
    public init(count: Int, retryAfter: Duration = .zero) {
        self.count = count
        self.retryAfter = retryAfter
    }
}

/// The scope of a gate: an origin, or a named part of it.
public struct PolicyScope: Sendable, Hashable, CustomStringConvertible {
    /// The origin.
    public let origin: Origin
    /// The name from `options.policyScope`; nil: the whole origin.
    public let name: String?

    /// Makes a scope.
    public init(origin: Origin, name: String? = nil) {
        self.origin = origin
        self.name = name
    }

    /// The origin, and the name after `#`.
    public var description: String { name.map { "\(origin)#\($0)" } ?? "\(origin)" }
}
