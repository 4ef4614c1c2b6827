import Bowline
import BowlineTesting
import Testing

@Suite("Knobs of the resilience policies that are wrong or contradict each other")
struct ResilienceConfigurationTests {
    typealias Change = @Sendable (inout ResilienceOptions) -> Void

    private static func rate(_ change: @escaping @Sendable (inout RateOptions) -> Void) -> Change {
        { $0.rate = RateOptions(change) }
    }

    private static func concurrency(_ change: @escaping @Sendable (inout ConcurrencyOptions) -> Void) -> Change {
        { $0.concurrency = ConcurrencyOptions(change) }
    }

    private static func breaker(_ change: @escaping @Sendable (inout BreakerOptions) -> Void) -> Change {
        { $0.breaker = BreakerOptions(change) }
    }

    private static func hedging(_ change: @escaping @Sendable (inout HedgingOptions) -> Void) -> Change {
        { $0.hedging = HedgingOptions(change) }
    }

    private static func balancing(_ change: @escaping @Sendable (inout BalancingOptions) -> Void) -> Change {
        { $0.balancing = BalancingOptions(change) }
    }

    private static func endpoints(_ endpoints: ServiceEndpoint...) -> Change {
        balancing { $0.endpoints = .fixed(endpoints) }
    }

    /// Each mistake with the path of its property, below `resilience`.
    static let mistakes: [(path: String, change: Change)] = [
        ("rate.perSecond", rate { $0.perSecond = 0 }),
        ("rate.perSecond", rate { $0.perSecond = .nan }),
        ("rate.perSecond", rate { $0.perSecond = .infinity }),
        ("rate.burst", rate { $0.burst = 0 }),
        ("rate.maximumWait", rate { $0.maximumWait = .seconds(-1) }),
        ("concurrency.limit", concurrency { $0.limit = .fixed(0) }),
        ("concurrency.limit", concurrency { $0.limit = .adaptive(initial: 5, minimum: 10, maximum: 20) }),
        ("concurrency.limit", concurrency { $0.limit = .adaptive(initial: 30, minimum: 10, maximum: 20) }),
        ("concurrency.limit", concurrency { $0.limit = .adaptive(initial: 0, minimum: 0, maximum: 20) }),
        ("concurrency.maximumWaiting", concurrency { $0.maximumWaiting = -1 }),
        ("concurrency.maximumWait", concurrency { $0.maximumWait = .nanoseconds(-1) }),
        ("breaker.failureRatio", breaker { $0.failureRatio = 0 }),
        ("breaker.failureRatio", breaker { $0.failureRatio = 1.1 }),
        ("breaker.minimumAttempts", breaker { $0.minimumAttempts = 0 }),
        ("breaker.probes", breaker { $0.probes = 0 }),
        // Probes without a window.
        ("breaker.window", breaker { ($0.probes, $0.window) = (5, .zero) }),
        ("breaker.window", breaker { $0.window = .seconds(301) }),
        ("breaker.slowCallDuration", breaker { $0.slowCallDuration = .zero }),
        ("breaker.slowCallRatio", breaker { $0.slowCallRatio = .nan }),
        ("breaker.open", breaker { $0.open = .zero }),
        ("breaker.maximumOpen", breaker { ($0.open, $0.maximumOpen) = (.seconds(10), .seconds(9)) }),
        ("hedging.delay", hedging { $0.delay = .after(.zero) }),
        ("hedging.delay", hedging { $0.delay = .after(.seconds(60)) }),
        ("hedging.delay", hedging { $0.delay = .percentile(0.4) }),
        ("hedging.delay", hedging { $0.delay = .percentile(.nan) }),
        ("hedging.delay", hedging { $0.delay = .percentile(0.9, atLeast: .zero) }),
        ("hedging.maximumHedges", hedging { $0.maximumHedges = 0 }),
        ("balancing.endpoints", endpoints()),
        (
            "balancing.endpoints",
            endpoints(ServiceEndpoint("http://a.test", weight: 0), ServiceEndpoint("http://b.test", weight: 0))
        ),
        (
            "balancing.endpoints[1].weight",
            endpoints(ServiceEndpoint("http://a.test"), ServiceEndpoint("http://b.test", weight: -1))
        ),
        ("balancing.endpoints[0].url", endpoints(ServiceEndpoint("a.test"))),
        ("balancing.consecutiveFailures", balancing { $0.consecutiveFailures = 0 }),
        ("balancing.ejection", balancing { $0.ejection = .zero }),
        (
            "balancing.maximumEjection",
            balancing { ($0.ejection, $0.maximumEjection) = (.seconds(10), .seconds(9)) }
        ),
        ("balancing.maximumEjected", balancing { $0.maximumEjected = 1.5 }),
        ("balancing.slowStart", balancing { $0.slowStart = .seconds(-1) }),
    ]

    @Test(
        "A knob that is out of range or contradicts another one is an error that names its path, and no other",
        .tags(.BI1), arguments: mistakes.indices)
    func mistakeIsNamed(index: Int) async throws {
        let (path, change) = Self.mistakes[index]
        let made = try await serviceError {
            _ = try ServiceClient(baseURL: "http://example.com") {
                $0.timeouts.total = .seconds(60)
                change(&$0.resilience)
            }
        }
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport()) {
            $0.timeouts.total = .seconds(60)
        }
        let derived = try await serviceError { _ = try client.with { change(&$0.resilience) } }
        for error in [made, derived] {
            #expect(error.code == .invalidConfiguration)
            let problems = try #require(error.underlying as? ConfigurationProblems).problems
            #expect(problems.map(\.path) == ["resilience.\(path)"])
        }
    }

    @Test(
        "A hedge delay that is shorter than the total timeout is accepted, and any delay without a total", .tags(.BI1))
    func hedgeDelay() throws {
        for (total, delay) in [(Duration.seconds(2), Duration.milliseconds(1999)), (nil, .seconds(1000))] {
            var configuration = ClientConfiguration()
            configuration.timeouts.total = total
            configuration.resilience.hedging = HedgingOptions { $0.delay = .after(delay) }
            #expect(configuration.problems() == [])
        }
    }

    @Test("The smallest and the largest values allowed are accepted", .tags(.BI1), arguments: [false, true])
    func ends(isLargest: Bool) throws {
        let longest = Duration.seconds(Int64.max)
        var configuration = ClientConfiguration()
        configuration.resilience.rate = RateOptions {
            $0.perSecond = isLargest ? 1_000_000 : 0.001
            $0.burst = isLargest ? 1_000_000 : 1
            $0.maximumWait = isLargest ? longest : .zero
        }
        configuration.resilience.concurrency = ConcurrencyOptions {
            $0.limit = isLargest ? .adaptive(initial: 1, minimum: 1, maximum: 1_000_000) : .fixed(1)
            $0.maximumWaiting = isLargest ? 1_000_000 : 0
            $0.maximumWait = isLargest ? longest : .zero
        }
        configuration.resilience.breaker = BreakerOptions {
            $0.minimumAttempts = isLargest ? 1_000_000 : 1
            $0.window = isLargest ? .seconds(300) : .seconds(1)
            $0.slowCallDuration = isLargest ? longest : .nanoseconds(1)
            $0.open = isLargest ? longest : .nanoseconds(1)
            $0.maximumOpen = isLargest ? longest : .nanoseconds(1)
            $0.probes = isLargest ? 1000 : 1
        }
        configuration.resilience.hedging = HedgingOptions {
            $0.delay = isLargest ? .percentile(0.999, atLeast: longest) : .percentile(0.5, atLeast: .nanoseconds(1))
            $0.maximumHedges = isLargest ? 10 : 1
        }
        configuration.resilience.balancing = BalancingOptions {
            $0.endpoints = .fixed([
                ServiceEndpoint("http://a.test", weight: isLargest ? 1_000_000 : 1),
                ServiceEndpoint("http://b.test", weight: 0),
            ])
            $0.ejection = isLargest ? longest : .nanoseconds(1)
            $0.maximumEjection = isLargest ? longest : .nanoseconds(1)
            $0.maximumEjected = isLargest ? 1 : 0
            $0.slowStart = isLargest ? longest : .zero
        }
        #expect(configuration.problems() == [])
    }
}
