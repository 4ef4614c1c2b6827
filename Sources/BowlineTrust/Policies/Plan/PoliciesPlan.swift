internal import Bowline
internal import BowlineTesting

/// Everything that a seed determines before a simulation of the policies begins: the client's options, the services, the
/// calls, and the shutdown.
struct PoliciesPlan: Sendable {
    /// A time in which a server behaves in another way.
    struct Outage: Sendable, Hashable {
        enum Behaviour: Sendable, Hashable, CaseIterable {
            /// Connects are refused.
            case refuses
            /// Each answer is 503.
            case unavailable
            case silent
            case slow
        }

        let server: String
        let from: Duration
        let to: Duration
        let behaviour: Behaviour
    }

    /// A change of a breaker by hand.
    struct Hand: Sendable, Hashable {
        let at: Duration
        /// Whether the breaker is opened, or reset.
        let isolates: Bool
        let scope: String?
    }

    /// A store of the rate gate's tokens.
    struct Store: Sendable, Hashable {
        var delay = Duration.zero
        /// The probability that the store throws.
        var failureChance = 0.0
    }

    /// The lists of endpoints that a balancer gets.
    struct Endpoints: Sendable, Hashable {
        /// A list of numbers of endpoints, from a time on.
        struct List: Sendable, Hashable {
            let at: Duration
            let numbers: [Int]
        }

        var all: [ServiceEndpoint]
        /// Empty: the balancer gets all of them at once, as a fixed list.
        var lists: [List] = []
    }

    let seed: UInt64
    /// Whether jobs that are ready at the same time run in a random order.
    var isShuffled = false
    /// The hosts, in the order of ``PoliciesCall/host``. The first is the client's base URL.
    var hosts = ["host0.test"]
    var retry = RetryOptions()
    var timeouts = Timeouts()
    /// `redirect.maximum`.
    var redirects = 10
    /// The policies, without the store, and without balancing.
    var resilience = ResilienceOptions()
    var store: Store?
    /// nil: there is no balancer.
    var endpoints: Endpoints?
    var balancing = BalancingOptions()
    /// The source of the client's bearer tokens. nil: the client has no credentials.
    var tokens: SimulationPlan.Tokens?
    /// Whether the client has middleware that records each attempt.
    var hasMiddleware = false
    /// The share of requests that are not answered with 200.
    var faults = 0.0
    /// Whether the service is always slow.
    var isSlow = false
    var outages: [Outage] = []
    var hands: [Hand] = []
    var calls: [PoliciesCall] = []
    var shutdown: SimulationPlan.Shutdown?
    /// The acts of the service for the attempts of each call, in order. The last act is repeated. Empty: the seed decides.
    var fixedActs: [PoliciesAct] = []

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: Self.mixed(seed, 1, 0))
        isShuffled = random.nextBool()
        hosts = (0..<random.next(in: 1..<4)).map { "host\($0).test" }
        drawOptions(&random)
        drawGates(&random)
        drawBalancing(&random)
        drawService(&random)
        drawCalls(&random)
    }

    /// Makes a plan without chance: one host, no policies, no retries, and a service that does these acts.
    init(calls: [PoliciesCall], acts: [PoliciesAct] = [PoliciesAct()]) {
        seed = 0
        retry.maximumAttempts = 1
        self.calls = calls
        fixedActs = acts
    }

    static func origin(of host: String) -> String { "http://\(host)" }

    /// The act for an attempt.
    ///
    /// - Parameters:
    ///   - number: How many attempts of the call have arrived, this one included.
    ///   - server: The host that the attempt goes to.
    ///   - elapsed: The time since the begin.
    func act(_ call: Int, number: Int, server: String, elapsed: Duration) -> PoliciesAct {
        if let last = fixedActs.last { return number <= fixedActs.count ? fixedActs[number - 1] : last }
        var random = SeededRandom(seed: Self.mixed(seed, UInt64(call) &+ 2, UInt64(number)))
        var act = PoliciesAct.drawn(&random, faults: faults, isSlow: isSlow)
        let outage = outages.first { $0.server == server && $0.from <= elapsed && elapsed < $0.to }
        switch outage?.behaviour {
        case .refuses: act.reaction = .fails(.refusedConnect, isExecuted: false)
        case .unavailable: act.reaction = .rejects(503, retryAfter: nil, isExecuted: false)
        case .silent: act.reaction = .isSilent(isExecuted: false)
        case .slow: act.delay += .milliseconds(400)
        case nil: break
        }
        return act
    }

    private static func mixed(_ seed: UInt64, _ one: UInt64, _ two: UInt64) -> UInt64 {
        var mixer = SeededRandom(seed: seed ^ (one &* 0xD1B5_4A32_D192_ED03) ^ (two &* 0x8CB9_2BA7_2F3D_8DD7))
        return mixer.next()
    }
}
