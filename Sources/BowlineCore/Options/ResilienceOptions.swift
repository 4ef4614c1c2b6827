/// Options that protect a service, and the calls of a client, while the service is slow, overloaded or down.
///
/// A *gate* decides before each attempt whether the attempt goes now, waits, or is refused. Each gate is kept for a
/// *scope*: the origin of the request, or `options.policyScope` within this origin. Derived clients share the gates.
/// All policies are off by default. ``standard`` switches on those that need no numbers of your service. See
/// `Docs/Resilience.md`.
public struct ResilienceOptions: Sendable, ConfigurableOptions {
    /// How many attempts per second go to a scope; nil: no limit. Default nil.
    public var rate: RateOptions?
    /// How many attempts to a scope are in flight at once; nil: no limit. Default nil.
    public var concurrency: ConcurrencyOptions?
    /// When attempts to a scope are refused because too many have failed; nil: never. Default nil.
    public var breaker: BreakerOptions?
    /// When a second attempt is sent although the first has not ended; nil: never. Default nil.
    public var hedging: HedgingOptions?
    /// How the attempts are distributed over addresses or base URLs; nil: the transport uses the addresses of a host
    /// one after another, and there is one base URL. Default nil.
    public var balancing: BalancingOptions?
    /// Whether a 429, or a 503 with `Retry-After`, closes the scope for all calls until the time that the field gives,
    /// at most for `retry.maximumRetryAfter`. Attempts wait if the wait fits their limits; else they are refused with
    /// `rateLimited`. Always true if ``rate`` is set. Default false.
    public var sharesRetryAfter = false

    /// Makes the defaults: all policies are off.
    public init() {}

    /// Breaker, adaptive concurrency limit, and `Retry-After` shared by all calls.
    public static var standard: ResilienceOptions {
        var options = ResilienceOptions()
        options.breaker = BreakerOptions()
        options.concurrency = ConcurrencyOptions()
        options.sharesRetryAfter = true
        return options
    }

    /// All policies are off.
    public static var off: ResilienceOptions { ResilienceOptions() }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("rate", .other { $0.rate?.problems(at: $1) ?? [] }),
            OptionKnob("concurrency", .other { $0.concurrency?.problems(at: $1) ?? [] }),
            OptionKnob("breaker", .other { $0.breaker?.problems(at: $1) ?? [] }),
            OptionKnob("hedging", .other { $0.hedging?.problems(at: $1) ?? [] }),
            OptionKnob("balancing", .other { $0.balancing?.problems(at: $1) ?? [] }),
            OptionKnob("sharesRetryAfter", .flag(\.sharesRetryAfter)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }

    /// Whether any gate may be in use: a rate, a limit of concurrency, a breaker, or a shared `Retry-After`.
    package var hasGates: Bool { rate != nil || concurrency != nil || breaker != nil || sharesRetryAfter }
}

/// How many attempts per second go to a scope: a token bucket.
///
/// The gate also obeys the service. A 429, or a 503 with `Retry-After`, closes the scope for all calls until the time
/// that the field gives. The fields `RateLimit` and `RateLimit-Policy` slow the gate down before that.
public struct RateOptions: Sendable, ConfigurableOptions {
    /// Attempts per second on average; above 0 to 1,000,000. Default 100.
    public var perSecond = 100.0
    /// How many attempts may go at once after a pause; 1 to 1,000,000. Default 10.
    public var burst = 10
    /// How long an attempt may wait for its turn. Zero or more; zero: attempts never wait. Default 1 s.
    public var maximumWait: Duration = .seconds(1)
    /// Where the tokens are kept; nil: in this process. A store that several processes share keeps a fleet within one
    /// quota. Default nil.
    public var store: (any RateLimitStore)?

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("perSecond", .number(\.perSecond, 0.001...1_000_000)),
            OptionKnob("burst", .integer(\.burst, 1...1_000_000)),
            OptionKnob("maximumWait", .duration(\.maximumWait, .notNegative)),
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

/// How many attempts to a scope are in flight at once.
///
/// An attempt is in flight until its response head has arrived or it has failed. Further attempts wait in the order in
/// which they came.
public struct ConcurrencyOptions: Sendable, Hashable, ConfigurableOptions {
    /// How the limit is found.
    public enum Limit: Sendable, Hashable {
        /// This limit; 1 to 1,000,000.
        case fixed(Int)
        /// A limit that follows the latency: it falls when the service answers 429 or 503, times out or refuses
        /// connections, or when latency rises above its long-term minimum; it rises only while it is in use. Begins
        /// with `initial`, and stays within `minimum` and `maximum`.
        case adaptive(initial: Int = 20, minimum: Int = 1, maximum: Int = 1000)
    }

    /// The limit. Default `.adaptive()`: from 20, within 1 to 1,000.
    public var limit: Limit = .adaptive()
    /// How many attempts may wait; 0 to 1,000,000. Further attempts are refused with `concurrencyLimited`. When the
    /// queue is half full, attempts with `options.priority` `.sheddable` are refused first. Default 1,000.
    public var maximumWaiting = 1000
    /// How long an attempt may wait. Zero or more; zero: attempts never wait. Default 1 s.
    public var maximumWait: Duration = .seconds(1)

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("limit", .other { $0.limit.problems(at: $1) }),
            OptionKnob("maximumWaiting", .integer(\.maximumWaiting, 0...1_000_000)),
            OptionKnob("maximumWait", .duration(\.maximumWait, .notNegative)),
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

extension ConcurrencyOptions.Limit {
    func problems(at path: String) -> [ConfigurationProblem] {
        let range = 1...1_000_000
        switch self {
        case .fixed(let limit):
            return range.contains(limit)
                ? [] : [ConfigurationProblem(path, "must be at least 1 and at most 1000000, is \(limit)")]
        case .adaptive(let initial, let minimum, let maximum):
            guard range.contains(minimum), range.contains(maximum), minimum <= initial, initial <= maximum else {
                return [
                    ConfigurationProblem(
                        path,
                        "must have 1 ≤ minimum ≤ initial ≤ maximum ≤ 1000000, has \(minimum), \(initial), \(maximum)")
                ]
            }
            return []
        }
    }
}

/// When a circuit breaker opens: attempts to a scope are then refused with `circuitOpen`, because most of the recent
/// attempts have failed.
///
/// A failure is a dial that failed, an error after the request was sent, or a status 500, 502, 503 or 504. Other
/// statuses, a cancellation and refusals by the client itself are no failures. After the open period a few attempts are
/// sent as probes. If all of them succeed, the breaker closes.
public struct BreakerOptions: Sendable, Hashable, ConfigurableOptions {
    /// The share of failed attempts at which the breaker opens; above 0 to 1. Default 0.5.
    public var failureRatio = 0.5
    /// How many attempts must have ended within ``window`` before the breaker may open; 1 to 1,000,000. Default 20.
    public var minimumAttempts = 20
    /// The period in which attempts are counted; 1 s to 5 min. Default 10 s.
    public var window: Duration = .seconds(10)
    /// An attempt that takes at least this long is *slow*; greater than zero; nil: no attempt is slow. Default nil.
    public var slowCallDuration: Duration?
    /// The share of slow attempts at which the breaker opens; above 0 to 1. Ignored if ``slowCallDuration`` is nil.
    /// Default 1.
    public var slowCallRatio = 1.0
    /// How long the breaker stays open the first time; greater than zero. Each further time doubles it, up to
    /// ``maximumOpen``, ± 20 %. Default 5 s.
    public var open: Duration = .seconds(5)
    /// The longest time that the breaker stays open, before the random part; at least ``open``. Default 60 s.
    public var maximumOpen: Duration = .seconds(60)
    /// How many attempts are sent as probes after the open period; 1 to 1,000. Default 3.
    public var probes = 3

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("failureRatio", .number(\.failureRatio, 0.001...1)),
            OptionKnob("minimumAttempts", .integer(\.minimumAttempts, 1...1_000_000)),
            OptionKnob("window", .duration(\.window, .slidingWindow)),
            OptionKnob("slowCallDuration", .optionalDuration(\.slowCallDuration, .positive)),
            OptionKnob("slowCallRatio", .number(\.slowCallRatio, 0.001...1)),
            OptionKnob("open", .duration(\.open, .positive)),
            OptionKnob("maximumOpen", .duration(\.maximumOpen, .positive)),
            OptionKnob("probes", .integer(\.probes, 1...1000)),
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] {
        var problems = Self.knobs.problems(of: self, at: path)
        if problems.isEmpty, maximumOpen < open {
            problems.append(
                ConfigurationProblem("\(path).maximumOpen", "must be at least \(path).open, which is \(open.logText)"))
        }
        return problems
    }
}

/// When a second attempt (a *hedge*) is sent although the first has not ended.
///
/// The first acceptable response is the call's response; the other attempts are cancelled. Only idempotent requests with
/// a body that can be sent again are hedged. Each hedge takes one retry from the retry budget, and goes to another
/// address or base URL if there is one.
public struct HedgingOptions: Sendable, Hashable, ConfigurableOptions {
    /// How long an attempt runs before a hedge is sent.
    public enum Delay: Sendable, Hashable {
        /// This time; greater than zero.
        case after(Duration)
        /// The time within which this share of the recent attempts to the scope has ended, 0.5 to 0.999, but at least
        /// `atLeast`. No hedge is sent while fewer than 100 attempts are known.
        case percentile(Double, atLeast: Duration = .milliseconds(10))
    }

    /// How long an attempt runs before a hedge is sent. Default `.percentile(0.95, atLeast: .milliseconds(10))`.
    public var delay: Delay = .percentile(0.95)
    /// How many hedges an attempt may have; 1 to 10. Default 1.
    public var maximumHedges = 1

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("delay", .other { $0.delay.problems(at: $1) }),
            OptionKnob("maximumHedges", .integer(\.maximumHedges, 1...10)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

extension HedgingOptions.Delay {
    func problems(at path: String) -> [ConfigurationProblem] {
        switch self {
        case .after(let delay):
            return delay > .zero ? [] : [ConfigurationProblem(path, "must be greater than zero")]
        case .percentile(let share, let least):
            guard (0.5...0.999).contains(share) else {
                return [ConfigurationProblem(path, "must have a percentile of 0.5 to 0.999, has \(share)")]
            }
            return least > .zero ? [] : [ConfigurationProblem(path, "must have an atLeast greater than zero")]
        }
    }
}

/// A priority of an attempt that waits for the concurrency limit.
public enum RequestPriority: Int, Sendable, Hashable, Comparable, CaseIterable {
    /// Refused first: when the queue is half full, and before attempts with a higher priority.
    case sheddable
    /// The usual priority.
    case normal
    /// Admitted before attempts with a lower priority.
    case critical

    /// Whether the left priority is lower.
    public static func < (left: RequestPriority, right: RequestPriority) -> Bool { left.rawValue < right.rawValue }
}
