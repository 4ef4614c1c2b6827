internal import Bowline
internal import BowlineTesting

/// How the clients of a simulation are configured. Every kind has the same limit for a whole call.
enum SimulatedClient: String, CaseIterable {
    /// One attempt.
    case noRetries = "no retries"
    /// Three attempts without a budget and without jitter.
    case naiveRetries = "naive retries"
    /// AsyncHTTPClient, as far as it can be modelled: eight connections, further requests wait; connections that are
    /// refused are dialled again, 100 ms × 1.25ⁿ later, until the call's limit; nothing else is retried.
    case asyncHTTPClient = "AsyncHTTPClient"
    /// Bowline's defaults: three attempts, jitter, a budget.
    case defaults = "Bowline"
    /// `resilience = .standard`.
    case standard = ".standard"
    /// `.standard` with hedging and balancing.
    case everything = ".standard, hedging, balancing"

    /// The limit for a whole call.
    static let limit = Duration.seconds(2)

    /// Makes a client.
    ///
    /// - Parameter endpoints: The replicas, for balancing.
    func make(
        _ time: VirtualTime, baseURL: String, transport: any ServiceTransport, endpoints: [ServiceEndpoint]
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: baseURL, transport: transport) { configuration in
            configuration.clock = time.clock
            configuration.random = time.random
            configuration.timeouts.total = Self.limit
            configure(&configuration, endpoints)
        }
    }

    private func configure(_ configuration: inout ClientConfiguration, _ endpoints: [ServiceEndpoint]) {
        switch self {
        case .noRetries: configuration.retry = .never
        case .naiveRetries:
            configuration.retry.budget = nil
            configuration.retry.backoff = .custom { outcome, _ in .milliseconds(100 << min(outcome.retries, 10)) }
        case .asyncHTTPClient:
            configuration.retry.budget = nil
            configuration.retry.maximumAttempts = 100
            configuration.retry.shouldRetry = { $0.error?.code == .connectionRefused ? .yes : .no }
            configuration.retry.backoff = .custom { outcome, _ in
                .milliseconds(100) * Self.power(1.25, min(outcome.retries, 40))
            }
            configuration.resilience.concurrency = ConcurrencyOptions {
                $0.limit = .fixed(8)
                $0.maximumWaiting = 1_000_000
                $0.maximumWait = Self.limit
            }
        case .defaults: break
        case .standard: configuration.resilience = .standard
        case .everything:
            configuration.resilience = .standard
            configuration.resilience.hedging = HedgingOptions()
            if endpoints.count > 1 {
                configuration.resilience.balancing = BalancingOptions { $0.endpoints = .fixed(endpoints) }
            }
        }
    }

    private static func power(_ base: Double, _ exponent: Int) -> Double {
        (0..<exponent).reduce(1) { product, _ in product * base }
    }
}
