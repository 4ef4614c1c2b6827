public import BowlineCore
internal import BowlineTransport

/// All settings of a client, in groups. Each property documents its default; `nil` means no limit.
///
/// The configuration is checked when the client is made. Every problem is reported with its property path.
/// `Docs/Defaults.md` lists all settings.
public struct ClientConfiguration: Sendable, ConfigurableOptions {
    /// How long each phase of a request may take.
    public var timeouts = Timeouts()
    /// When a failed request is retried.
    public var retry = RetryOptions()
    /// Gates, hedges and balancing: how the client behaves while a service is slow, overloaded or down. Default: all
    /// off. See `Docs/Resilience.md`.
    public var resilience = ResilienceOptions()
    /// Whether and how redirects are followed.
    public var redirect = RedirectOptions()
    /// Whether response bodies are decoded.
    public var decompression = DecompressionOptions()
    /// Whether each POST or PATCH request gets an `Idempotency-Key`, the same on each attempt. The key makes the
    /// request idempotent, so that it may be retried. Use it only for services that honour the field. Default false.
    public var makesIdempotencyKeys = false
    /// Adds credentials to each attempt: ``BasicAuthentication``, ``BearerAuthentication``, ``SigningAuthentication``,
    /// a ``RequestAuthenticator`` of your own, or several in a ``ChainedAuthentication``. nil: no credentials are
    /// added. Default nil.
    public var authentication: (any RequestAuthenticator)?
    /// The origins that get the credentials in addition to the base URL's origin, for example
    /// `https://files.example.com`. Paths are ignored. Default none.
    public var authenticatedOrigins: [String] = []
    /// How many connections there may be, and how they are kept.
    public var pool = PoolOptions()
    /// How sockets are made, and how much memory a peer may use.
    public var connection = ConnectionOptions()
    /// When and how HTTP/2 is used.
    public var http2 = HTTP2Options()
    /// The trusted certificates and the client's own certificate, for encrypted connections.
    public var tls = TLSOptions()
    /// Which proxy requests use. Default `.environment`: the proxies that the environment variables `https_proxy`,
    /// `http_proxy`, `all_proxy` and `no_proxy` name. See `Docs/Proxies.md`.
    public var proxy: ProxyChoice = .environment
    /// How the client shuts down.
    public var lifecycle = LifecycleOptions()
    /// The client's spans, metrics, log lines and events.
    public var telemetry = TelemetryOptions()
    /// Your own middleware around requests.
    public var middleware = MiddlewareOptions()
    /// The `User-Agent` of requests to every origin. A request's own field takes precedence. nil: none is added.
    /// Default `bowline/` and the package's version. Put your program's name before this default (`"orders/2.1
    /// bowline/1.0"`), so that services can distinguish programs.
    public var userAgent: String? = "bowline/\(BowlineVersion.text)"
    /// Header fields that every request gets, unless it has a field of that name. A client with a base URL sends them
    /// only to the base URL's origin, because they may be credentials. A request to another origin does not get them,
    /// even if an absolute URL, a redirect or middleware leads there. Fields with which no request could be sent are
    /// refused when the client is made, and so are `Content-Length` and `Transfer-Encoding`. Default none.
    public var fields: HTTPFields = [:]
    /// Turns values into request bodies. Default: JSON, dates in ISO 8601; see ``BodyEncoder/json``.
    public var encoder: any BodyEncoder = .json
    /// Turns response bodies into values. Default: JSON, dates in ISO 8601; see ``BodyDecoder/json``.
    public var decoder: any BodyDecoder = .json
    /// The clock and the random source, behind one reference. A derived client's change is detected by this reference,
    /// because clocks and closures cannot be compared.
    private(set) var surroundings = Surroundings(clock: MonotonicClock(), random: { Double.random(in: 0..<1) })

    /// The resolver behind a reference, because resolvers cannot be compared either.
    private(set) var naming = Naming(resolver: nil)

    /// The values that came from a reader and not from the program. Not a setting.
    var reading = Reading()

    /// The clock for deadlines, pool timers and measured times. Default: the machine's monotonic clock.
    public var clock: any ServiceClock {
        get { surroundings.clock }
        set { surroundings = Surroundings(clock: newValue, random: surroundings.random) }
    }

    /// Returns random numbers from 0 up to 1. They spread waits before retries, lifetimes of connections and delays of
    /// dials for `pool.minimumIdlePerOrigin`, and make `Idempotency-Key`s. A number below 0 counts as 0, a number above
    /// 1 as 1, and NaN as 0. Default: the system's generator.
    public var random: @Sendable () -> Double {
        get { surroundings.random }
        set { surroundings = Surroundings(clock: surroundings.clock, random: { newValue().clampedToUnit }) }
    }

    /// Finds the addresses of host names: a ``FixedAddresses``, or a ``ServiceResolver`` of your own. The client keeps
    /// its answers, and does not ask it for IP addresses, `localhost` and Unix domain sockets. nil: the system's
    /// resolver, as ``SystemAddresses``. Default nil.
    public var resolver: (any ServiceResolver)? {
        get { naming.resolver }
        set { naming = Naming(resolver: newValue) }
    }

    /// The source of addresses.
    final class Naming: Sendable {
        let resolver: (any ServiceResolver)?

        init(resolver: (any ServiceResolver)?) {
            self.resolver = resolver
        }
    }

    /// The sources of time and random numbers.
    final class Surroundings: Sendable {
        let clock: any ServiceClock
        let random: @Sendable () -> Double

        init(clock: any ServiceClock, random: @escaping @Sendable () -> Double) {
            self.clock = clock
            self.random = random
        }
    }

    /// Makes the default settings.
    public init() {}

    /// Returns all problems of the configuration; empty: it is valid.
    public func problems() -> [ConfigurationProblem] {
        timeoutProblems() + retry.problems(at: "retry") + resilienceProblems() + redirect.problems(at: "redirect")
            + decompression.problems(at: "decompression") + authenticationProblems() + pool.problems(at: "pool")
            + connection.problems(at: "connection")
            + http2.problems(at: "http2") + tls.problems(at: "tls") + proxy.problems(at: "proxy")
            + lifecycle.problems(at: "lifecycle") + sentFieldProblems()
    }

    /// Returns all problems of a client with this configuration and this base URL.
    func problems(base: ServiceURL?) -> [ConfigurationProblem] {
        problems() + credentialProblems(base: base) + endpointProblems(base: base)
    }

    private func timeoutProblems() -> [ConfigurationProblem] {
        var reconciled = self
        reconciled.reconcileLimits()
        return reconciled.timeouts.problems(at: "timeouts")
    }

    private func resilienceProblems() -> [ConfigurationProblem] {
        var problems = resilience.problems(at: "resilience")
        if case .after(let delay)? = resilience.hedging?.delay, let total = timeouts.total, delay >= total {
            problems.append(ConfigurationProblem("resilience.hedging.delay", "must be less than timeouts.total"))
        }
        return problems
    }

    /// Returns the problems of the fields that the client adds to requests.
    private func sentFieldProblems() -> [ConfigurationProblem] { userAgentProblems() + fieldProblems() }

    private func userAgentProblems() -> [ConfigurationProblem] {
        guard let userAgent else { return [] }
        let isValue =
            !userAgent.isEmpty && userAgent.utf8.allSatisfy { (0x20..<0x7F).contains($0) || $0 == 0x09 }
            && HTTPField.isValidValue(userAgent)
        return isValue
            ? []
            : [
                ConfigurationProblem(
                    "userAgent", "must be a field value of visible ASCII, without spaces around it; nil for none")
            ]
    }

    /// Checks the configuration.
    ///
    /// - Throws: ``ServiceError`` with code `invalidConfiguration` that names every problem.
    public func validate() throws {
        try problems().throwIfAny()
    }

    func transportOptions(events: EventDispatch?) -> TransportOptions {
        var options = TransportOptions()
        options.pool = pool
        options.connection = connection
        options.tls = tls
        options.proxy = proxy
        options.http2 = http2
        options.connectTimeout = timeouts.connect
        options.clock = clock
        options.random = random
        if let resolver { options.resolver = resolver }
        options.events = events
        options.warn = { [logger = telemetry.logger] in ClientLog.warn([$0], to: logger) }
        return options
    }
}

extension ClientConfiguration: CustomStringConvertible, CustomReflectable {
    /// A few of the policies. Contains no field and nothing of TLS, because they may be secrets.
    public var description: String {
        let total = timeouts.total.map { "\($0)" } ?? "no limit"
        return "ClientConfiguration(total \(total), \(retry.maximumAttempts) attempts, \(redirect.maximum) redirects, "
            + "\(fields.count) fields)"
    }

    /// All settings, but only the names of the fields, because their values may be secrets. (Credentials, TLS identities
    /// and proxies have mirrors of their own.)
    public var customMirror: Mirror {
        let names = HTTPFields(fields.map { HTTPField(name: $0.name, value: "hidden") })
        return Mirror(
            self,
            children: [
                "timeouts": timeouts, "retry": retry, "resilience": resilience, "redirect": redirect,
                "decompression": decompression,
                "makesIdempotencyKeys": makesIdempotencyKeys, "authentication": authentication as Any,
                "authenticatedOrigins": authenticatedOrigins, "pool": pool, "connection": connection,
                "http2": http2, "tls": tls, "proxy": proxy,
                "lifecycle": lifecycle, "telemetry": telemetry, "middleware": middleware,
                "userAgent": userAgent as Any, "fields": names,
                "encoder": encoder, "decoder": decoder, "resolver": resolver as Any, "surroundings": surroundings,
            ], displayStyle: .struct)
    }
}

/// How a client shuts down.
public struct LifecycleOptions: Sendable, Hashable, ConfigurableOptions {
    /// How long requests in flight may take to finish when `run()` or `withServiceClient` ends the client. Zero or
    /// more. Keep it shorter than the time that the program has to terminate: by default Kubernetes kills it 30 s after
    /// SIGTERM. See `Docs/Shutdown.md`. Default 25 s.
    public var drainTimeout: Duration = .seconds(25)

    /// Makes the default settings.
    public init() {}

    static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("drainTimeout", .duration(\.drainTimeout, .notNegative))
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

/// Your own middleware around requests. In each list the first is the outermost.
public struct MiddlewareOptions: Sendable, ConfigurableOptions {
    /// Middleware that runs once per call. Default none.
    public var perCall: [any ServiceMiddleware] = []
    /// Middleware that runs for each attempt. Default none.
    public var perAttempt: [any ServiceMiddleware] = []

    /// Makes the default settings.
    public init() {}
}
