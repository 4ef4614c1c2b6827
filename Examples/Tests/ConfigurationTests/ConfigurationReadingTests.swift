import BowlineTesting
import Configuration
import Synchronization
import Testing

@testable import Bowline

/// Tests the trait Configuration in a package that enables it.
@Suite("Configuration from swift-configuration")
struct ConfigurationReadingTests {
    /// Knobs that cannot be read from a configuration: closures, behaviours, and objects that a program makes.
    private let notData: Set<String> = [
        "retry.onDecision", "retry.shouldRetry", "retry.backoff.custom", "middleware.perCall",
        "middleware.perAttempt", "tls.verifyPeer", "clock", "random", "authentication",
        "telemetry.logger", "telemetry.events", "fields", "encoder", "decoder",
        "resolver", "resilience.rate.store",
    ]
    /// A knob that only code sets, so that the environment alone never makes a program write secrets.
    private let onlyInCode: Set<String> = ["tls.keyLog"]
    /// Knobs that are a choice between cases with their own values. These values are read from several keys.
    private let inParts: Set<String> = ["tls.trustRoots", "tls.additionalRoots", "tls.identity"]

    @Test("The keys are the property paths of all knobs in Docs/Defaults.md that are data, and no other key is read")
    func everyKnob() throws {
        let document = try MarkdownDocument("Docs/Defaults.md")
        let rows =
            try document.rows(under: "## The client: `ClientConfiguration`")
            + document.rows(under: "### Resilience policies")
        let documented = Set(rows.map { $0[0].filter { $0 != "`" } }).subtracting(notData).subtracting(inParts)
            .subtracting(onlyInCode)
        let read = Set(ClientConfiguration.knobs.map(\.path)).filter { path in
            path != "retry.budget" && !inParts.contains { path.hasPrefix($0 + ".") }
        }
        #expect(read == documented)
    }

    @Test("Limits are read in the types that files and the environment have; a limit without a key stays as it was")
    func limits() throws {
        var configuration = ClientConfiguration()
        try configuration.apply(
            reader([
                "timeouts.total": "1.5s", "timeouts.connect": "250ms",
                "timeouts.attempt": ConfigValue(.double(2), isSecret: false),
                "timeouts.bodyIdle": "none",
            ]))
        #expect(configuration.timeouts.total == .milliseconds(1500))
        #expect(configuration.timeouts.connect == .milliseconds(250))
        #expect(configuration.timeouts.attempt == .seconds(2))
        #expect(configuration.timeouts.bodyIdle == nil)
        #expect(configuration.timeouts.responseHead == .seconds(30))
    }

    @Test("Numbers, lists and choices are read in the types that files and the environment have")
    func values() throws {
        var configuration = ClientConfiguration()
        try configuration.apply(
            reader([
                "retry.maximumAttempts": 5,
                "retry.statuses": ConfigValue(.intArray([500, 503]), isSecret: false),
                "retry.budget.ratio": ConfigValue(.double(0.5), isSecret: false), "pool.maximumPerOrigin": "none",
                "pool.preset": "lowMemory", "pool.idleTimeout": "2m", "decompression.isEnabled": false,
                "redirect.sensitiveFields": ConfigValue(.stringArray(["X-Key"]), isSecret: false),
            ]))
        #expect(configuration.retry.maximumAttempts == 5)
        #expect(configuration.retry.statuses == [500, 503])
        #expect(configuration.retry.budget?.ratio == 0.5)
        #expect(configuration.pool.maximumPerOrigin == nil)
        #expect(configuration.pool.maximumIdlePerOrigin == PoolOptions.lowMemory.maximumIdlePerOrigin)
        #expect(configuration.pool.idleTimeout == .seconds(120))
        #expect(!configuration.decompression.isEnabled)
        #expect(configuration.redirect.sensitiveFields.map(\.canonicalName) == ["x-key"])
    }

    @Test("A key of a resilience policy switches the policy on; the preset comes first")
    func resilience() throws {
        var configuration = ClientConfiguration()
        try configuration.apply(
            reader([
                "resilience.preset": "standard", "resilience.breaker.probes": 7,
                "resilience.rate.perSecond": ConfigValue(.double(50), isSecret: false),
                "resilience.concurrency.limit": 12, "resilience.hedging.delay": "p99",
                "resilience.balancing.endpoints": ConfigValue(
                    .stringArray(["http://a.test", "http://b.test"]), isSecret: false),
                "resilience.balancing.zone": "west",
            ]))
        let resilience = configuration.resilience
        #expect(resilience.breaker?.probes == 7)
        #expect(resilience.sharesRetryAfter)
        #expect(resilience.rate?.perSecond == 50)
        #expect(resilience.concurrency?.limit == .fixed(12))
        #expect(resilience.hedging?.delay == .percentile(0.99))
        #expect(resilience.balancing?.zone == "west")
        guard case .fixed(let endpoints)? = resilience.balancing?.endpoints else {
            Issue.record("no endpoints")
            return
        }
        #expect(endpoints.map(\.url) == ["http://a.test", "http://b.test"])
    }

    @Test("`on` switches a policy on with its defaults, and `off` switches it off")
    func wholePolicies() throws {
        var configuration = ClientConfiguration()
        try configuration.apply(
            reader(["resilience.preset": "standard", "resilience.breaker": "off", "resilience.hedging": "on"]))
        #expect(configuration.resilience.breaker == nil)
        #expect(configuration.resilience.concurrency == ConcurrencyOptions())
        #expect(configuration.resilience.hedging == HedgingOptions())
    }

    @Test("The TLS options, the identity and the trust roots are read from keys of their own")
    func tls() throws {
        var configuration = ClientConfiguration()
        try configuration.apply(
            reader([
                "tls.verification": "withoutHostName", "tls.minimumVersion": "tls13",
                "tls.keyExchange": "classical",
                "tls.identity.certificatePEM": "C", "tls.identity.keyPEM": "K", "tls.trustRoots.file": "roots.pem",
                "tls.identity.passphrase": "P", "tls.renegotiation": "once", "tls.additionalRoots.pem": "A",
                "tls.pins": ConfigValue(.stringArray(["sha256/p", "q"]), isSecret: false), "tls.reloadsIdentity": false,
            ]))
        #expect(configuration.tls.verification == .withoutHostName)
        #expect(configuration.tls.minimumVersion == .tls13)
        #expect(configuration.tls.keyExchange == .classical)
        #expect(configuration.tls.identity == .pem(certificate: "C", key: "K", passphrase: "P"))
        #expect(configuration.tls.renegotiation == .once)
        #expect(configuration.tls.trustRoots == .file("roots.pem"))
        #expect(configuration.tls.additionalRoots == .pem("A"))
        #expect(configuration.tls.pins == ["p", "sha256/q"])
        #expect(!configuration.tls.reloadsIdentity)
    }

    @Test(
        "The proxy is environment, none or a URL",
        arguments: [
            ("environment", "environment"), ("none", "none"), ("http://u:p@proxy.test:3128", "http://proxy.test:3128"),
            ("socks5://proxy.test", "socks5://proxy.test:1080"),
        ])
    func proxy(text: String, described: String) throws {
        var configuration = ClientConfiguration()
        configuration.proxy = .http("http://other.test")
        try configuration.apply(reader(["proxy": ConfigValue(.string(text), isSecret: false)]))
        #expect("\(configuration.proxy)" == described)
    }

    @Test("the environment's names are the paths in capitals")
    func environment() throws {
        let provider = EnvironmentVariablesProvider(environmentVariables: [
            "TIMEOUTS_RESPONSE_HEAD": "5s", "POOL_MAXIMUM_IDLE_PER_ORIGIN": "7", "RETRY_STATUSES": "502,503",
            "DECOMPRESSION_IS_ENABLED": "false", "RETRY_BUDGET": "none",
        ])
        var configuration = ClientConfiguration()
        try configuration.apply(ConfigReader(provider: provider))
        #expect(configuration.timeouts.responseHead == .seconds(5))
        #expect(configuration.pool.maximumIdlePerOrigin == 7)
        #expect(configuration.retry.statuses == [502, 503])
        #expect(!configuration.decompression.isEnabled)
        #expect(configuration.retry.budget == nil)
    }

    @Test("each value that cannot be read is named by its path, without the value")
    func unreadable() throws {
        var configuration = ClientConfiguration()
        let error = #expect(throws: ServiceError.self) {
            try configuration.apply(
                reader([
                    "timeouts.total": "soon", "retry.maximumAttempts": "many", "pool.isEnabled": "perhaps",
                    "tls.verification": "canary", "tls.identity.certificatePEM": "C", "timeouts.connect": "1e300s",
                    "proxy": "http://proxy.test/canary",
                ]))
        }
        let problems = (error?.underlying as? ConfigurationProblems)?.problems ?? []
        #expect(error?.code == .invalidConfiguration)
        #expect(
            problems.map(\.path) == [
                "timeouts.connect", "timeouts.total", "retry.maximumAttempts", "pool.isEnabled",
                "tls.verification", "tls.identity.certificatePEM", "proxy",
            ])
        #expect(!"\(problems)".contains("canary"))
    }

    @Test("A value that has no effect without another value is a problem, and is not ignored")
    func lonely() throws {
        var configuration = ClientConfiguration()
        configuration.retry.budget = nil
        let error = #expect(throws: ServiceError.self) {
            try configuration.apply(
                reader([
                    "retry.budget.perSecond": 3, "tls.identity.keyPEM": "canary", "tls.identity.keyFile": "key.pem",
                    "tls.identity.passphrase": "canary",
                ]))
        }
        let problems = (error?.underlying as? ConfigurationProblems)?.problems ?? []
        #expect(
            problems.map(\.path) == [
                "retry.budget.perSecond", "tls.identity.keyFile", "tls.identity.keyPEM", "tls.identity.passphrase",
            ])
        #expect(!"\(problems)".contains("canary"))
    }

    @Test("The key of a client's certificate, its passphrase and the proxy are marked as secrets")
    func secrets() throws {
        let reporter = Reporter()
        let provider = InMemoryProvider(values: [
            "tls.identity.certificatePEM": "C", "tls.identity.keyPEM": "K", "tls.identity.passphrase": "P",
            "proxy": "http://u:p@proxy.test",
        ])
        var configuration = ClientConfiguration()
        try configuration.apply(ConfigReader(provider: provider, accessReporter: reporter))
        #expect(reporter.secrets.contains("proxy"))
        #expect(reporter.secrets.contains("tls.identity.keyPEM"))
        #expect(reporter.secrets.contains("tls.identity.passphrase"))
    }

    @Test(
        "If an attempt limit above the total was read, or the total was, the smaller limit counts",
        arguments: [true, false])
    func settledLimits(isAttemptRead: Bool) throws {
        let stub = StubTransport()
        let values: [AbsoluteConfigKey: ConfigValue] =
            isAttemptRead ? ["timeouts.attempt": "10s"] : ["timeouts.total": "2s"]
        let client = try ServiceClient(baseURL: "http://a.example", transport: stub) {
            if !isAttemptRead { $0.timeouts.attempt = .seconds(10) }
            try $0.apply(reader(values))
            if isAttemptRead { $0.timeouts.total = .seconds(2) }
        }
        #expect(client.configuration.timeouts.attempt == .seconds(2))
        #expect(client.configuration.timeouts.total == .seconds(2))
        // Two contradictory limits that the program sets are still an error of the program.
        let error = #expect(throws: ServiceError.self) {
            try ServiceClient(baseURL: "http://a.example", transport: stub) {
                try $0.apply(reader(values))
                $0.timeouts.attempt = .seconds(5)
                $0.timeouts.total = .seconds(4)
            }
        }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test("An environment variable in the scope that is no knob is a warning with the nearest name, without the value")
    func strayVariables() throws {
        let provider = EnvironmentVariablesProvider(environmentVariables: ["API_TIMEOUTS_TOTAL": "3s"])
        var configuration = ClientConfiguration()
        try configuration.apply(
            ConfigReader(provider: provider), scope: "api",
            variables: ["API_TIMEOUTS_TOTAL", "API_TIMEOUT_TOTAL", "HOME", "API_POOL_PRESET", "API_TOKEN"])
        #expect(configuration.timeouts.total == .seconds(3))
        #expect(
            configuration.reading.warnings == [
                "API_TIMEOUT_TOTAL in the environment is no knob of a client; the nearest is API_TIMEOUTS_TOTAL",
                "API_TOKEN in the environment is no knob of a client",
            ])
    }

    private func reader(_ values: [AbsoluteConfigKey: ConfigValue]) -> ConfigReader {
        ConfigReader(provider: InMemoryProvider(values: values))
    }
}

/// Records which keys were read as secrets.
private final class Reporter: AccessReporter {
    private let found = Mutex<Set<String>>([])

    var secrets: Set<String> { found.withLock { $0 } }

    func report(_ event: AccessEvent) {
        let isSecret = (try? event.result.get())??.isSecret ?? false
        guard isSecret else { return }
        let path = event.metadata.key.components.joined(separator: ".")
        found.withLock { _ = $0.insert(path) }
    }
}
