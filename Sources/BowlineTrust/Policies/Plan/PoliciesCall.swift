internal import Bowline
internal import BowlineTesting

/// One call of a plan: the request, its options, and what the caller does.
struct PoliciesCall: Sendable, Hashable {
    enum Body: Sendable, Hashable {
        case none
        case bytes
        /// A sequence that exists once.
        case stream
    }

    /// The client that makes the call.
    enum Maker: Sendable, Hashable {
        case client
        /// A derived client with one attempt.
        case withoutRetries
        /// A derived client without gates, hedges and balancing.
        case withoutPolicies
    }

    let number: Int
    /// When the caller begins.
    var start = Duration.zero
    var maker = Maker.client
    var host = 0
    var method = HTTPRequest.Method.get
    /// Whether the request says that it may be sent twice.
    var isMarkedIdempotent = false
    var isKeyed = false
    var body = Body.none
    /// `options.policyScope`.
    var scope: String?
    var priority = RequestPriority.normal
    /// `timeouts.total` of the request. nil: that of the client.
    var total: Duration?
    /// How long after its begin the deadline of the caller's task passes. nil: the task has none.
    var inherited: Duration?
    /// `retry.maximumAttempts` of the request. nil: that of the client.
    var maximumAttempts: Int?
    /// Whether `options.hedging` is `.unlimited`: no hedges.
    var isWithoutHedges = false
    var hasFallback = false
    /// When the caller cancels, from the call's begin. nil: never.
    var cancelAfter: Duration?
    /// Whether the caller reads the response's body, or drops it.
    var readsBody = true

    /// Whether the service may execute the request more than once.
    var mayRepeat: Bool { isMarkedIdempotent || isKeyed || method == .get || method == .put }

    static func drawn(_ random: inout SeededRandom, number: Int, hosts: Int, within span: Int) -> PoliciesCall {
        var call = PoliciesCall(number: number)
        call.start = .microseconds(random.next(in: 0..<max(1, span)))
        call.host = random.nextBool(probability: 0.6) ? 0 : random.next(in: 0..<hosts)
        call.method = [.get, .get, .get, .post, .post, .put].picked(&random, else: .get)
        if call.method == .post {
            call.isMarkedIdempotent = random.nextBool(probability: 0.15)
            call.isKeyed = !call.isMarkedIdempotent && random.nextBool(probability: 0.15)
        }
        if call.method != .get { call.body = [.none, .bytes, .bytes, .stream].picked(&random, else: .bytes) }
        call.scope = [nil, nil, nil, "a", "b"].picked(&random) ?? nil
        call.priority = [.sheddable, .normal, .normal, .critical].picked(&random, else: .normal)
        call.drawOptions(&random)
        return call
    }

    private mutating func drawOptions(_ random: inout SeededRandom) {
        maker = [.client, .client, .client, .client, .withoutRetries, .withoutPolicies].picked(&random, else: .client)
        if random.nextBool(probability: 0.35) {
            total = .milliseconds([1, 30, 300, 1_000, 3_000, 20_000].picked(&random, else: 3_000))
        }
        if random.nextBool(probability: 0.1) {
            inherited = .milliseconds([20, 500, 5_000].picked(&random, else: 500))
        }
        if random.nextBool(probability: 0.15) { maximumAttempts = random.next(in: 1..<7) }
        isWithoutHedges = random.nextBool(probability: 0.1)
        hasFallback = random.nextBool(probability: 0.1)
        if random.nextBool(probability: 0.12) {
            cancelAfter = .microseconds(random.next(in: 0..<[100, 20_000, 2_000_000].picked(&random, else: 100)))
        }
        readsBody = random.nextBool(probability: 0.9)
    }

    /// The earlier of the two deadlines, from the call's begin. nil: it has none.
    func limit(_ clientTotal: Duration?) -> Duration? {
        [total ?? clientTotal, inherited].compactMap { $0 }.min()
    }
}
