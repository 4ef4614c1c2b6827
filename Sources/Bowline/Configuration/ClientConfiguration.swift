public import BowlineCore
internal import BowlineTransport

/// Everything that can be set on a client: nested values, defaults at the property, `nil` for no limit.
///
/// It is checked when the client is made; every problem is reported with its property path. `Docs/Defaults.md` lists
/// all of it.
public struct ClientConfiguration: Sendable, ConfigurableOptions {
    /// How long each phase of a request may take.
    public var timeouts = Timeouts()
    /// When a request that failed is tried again.
    public var retry = RetryOptions()
    /// Whether and how redirects are followed.
    public var redirect = RedirectOptions()
    /// Whether response bodies are decoded.
    public var decompression = DecompressionOptions()
    /// Gives POST and PATCH requests an `Idempotency-Key` each, the same on each attempt, which makes them idempotent:
    /// only for services that honour it. Default false.
    public var makesIdempotencyKeys = false
    /// Adds credentials to each attempt: ``BasicAuthentication``, ``BearerAuthentication``, ``SigningAuthentication``,
    /// a ``RequestAuthenticator`` of your own, or several as ``ChainedAuthentication``. nil: no credentials are added. Default nil.
    public var authentication: (any RequestAuthenticator)?
    /// The origins that get these credentials besides the base URL's, as `https://files.example.com`; paths do not
    /// matter. Default none.
    public var authenticatedOrigins: [String] = []
    /// How connections are kept and how many there may be.
    public var pool = PoolOptions()
    /// How sockets are made, and how much a peer may make us keep.
    public var connection = ConnectionOptions()
    /// When HTTP/2 is spoken, and how.
    public var http2 = HTTP2Options()
    /// The trusted certificates, and the client's own, of encrypted connections.
    public var tls = TLSOptions()
    /// How the client ends.
    public var lifecycle = LifecycleOptions()
    /// The client's spans, metrics, log lines and events.
    public var telemetry = TelemetryOptions()
    /// Behaviours of your own around requests.
    public var middleware = MiddlewareOptions()
    /// The `User-Agent` of requests to every origin, unless a request has that field already. nil: the client
    /// adds none. Default `bowline/` and the package's version. Set your own name before it
    /// (`"orders/2.1 bowline/1.0"`), so that services can tell programs apart.
    public var userAgent: String? = "bowline/\(BowlineVersion.text)"
    /// Header fields that every request gets, unless it has one of that name. A client with a base URL sends them to the
    /// base's origin only: they may be credentials, which must not follow an absolute URL, a redirect or middleware elsewhere.
    /// Default none.
    public var fields: HTTPFields = [:]
    /// Turns values into request bodies. Default: JSON, dates in ISO 8601; see ``BodyEncoder/json``.
    public var encoder: any BodyEncoder = .json
    /// Turns response bodies into values. Default: JSON, dates in ISO 8601; see ``BodyDecoder/json``.
    public var decoder: any BodyDecoder = .json
    /// By reference, so that a change can be told: neither a clock nor a closure can be compared.
    private(set) var surroundings = Surroundings(clock: MonotonicClock(), random: { Double.random(in: 0..<1) })

    /// The values that came from a reader and not from the program. No knob.
    var reading = Reading()

    /// The clock for deadlines, pool timers and measured times. Default: the machine's monotonic clock.
    public var clock: any ServiceClock {
        get { surroundings.clock }
        set { surroundings = Surroundings(clock: newValue, random: surroundings.random) }
    }

    /// Numbers from 0 up to 1 for everything that is spread at random (waits before retries, lifetimes of connections, delays
    /// of refills) and for `Idempotency-Key`s. Numbers outside of 0 to 1 count as the nearer of the two, and NaN as 0. Default: the
    /// system's generator.
    public var random: @Sendable () -> Double {
        get { surroundings.random }
        set { surroundings = Surroundings(clock: surroundings.clock, random: { newValue().clampedToUnit }) }
    }

    /// Where time and chance come from.
    final class Surroundings: Sendable {
        let clock: any ServiceClock
        let random: @Sendable () -> Double

        init(clock: any ServiceClock, random: @escaping @Sendable () -> Double) {
            self.clock = clock
            self.random = random
        }
    }

    /// Makes the defaults.
    public init() {}

    /// Everything that is wrong with it; empty if nothing is.
    public func problems() -> [ConfigurationProblem] {
        timeoutProblems() + retry.problems(at: "retry") + redirect.problems(at: "redirect")
            + decompression.problems(at: "decompression") + authenticationProblems() + pool.problems(at: "pool")
            + connection.problems(at: "connection")
            + http2.problems(at: "http2") + tls.problems(at: "tls") + lifecycle.problems(at: "lifecycle")
            + userAgentProblems()
    }

    private func timeoutProblems() -> [ConfigurationProblem] {
        var reconciled = self
        reconciled.reconcileLimits()
        return reconciled.timeouts.problems(at: "timeouts")
    }

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

    /// Checks it.
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
        options.http2 = http2
        options.connectTimeout = timeouts.connect
        options.clock = clock
        options.random = random
        options.events = events
        return options
    }
}

extension ClientConfiguration: CustomStringConvertible, CustomReflectable {
    /// A few of the policies; no field and nothing of TLS, because they may hold secrets.
    public var description: String {
        let total = timeouts.total.map { "\($0)" } ?? "no limit"
        return "ClientConfiguration(total \(total), \(retry.maximumAttempts) attempts, \(redirect.maximum) redirects, "
            + "\(fields.count) fields)"
    }

    /// Everything, but of the fields only their names, because their values may be secrets. (Credentials, TLS identities and
    /// the like have mirrors of their own.)
    public var customMirror: Mirror {
        let names = HTTPFields(fields.map { HTTPField(name: $0.name, value: "hidden") })
        return Mirror(
            self,
            children: [
                "timeouts": timeouts, "retry": retry, "redirect": redirect, "decompression": decompression,
                "makesIdempotencyKeys": makesIdempotencyKeys, "authentication": authentication as Any,
                "authenticatedOrigins": authenticatedOrigins, "pool": pool, "connection": connection,
                "http2": http2, "tls": tls,
                "lifecycle": lifecycle, "telemetry": telemetry, "middleware": middleware,
                "userAgent": userAgent as Any, "fields": names,
                "encoder": encoder, "decoder": decoder, "surroundings": surroundings,
            ], displayStyle: .struct)
    }
}

/// How a client ends.
public struct LifecycleOptions: Sendable, Hashable, ConfigurableOptions {
    /// How long requests in flight get to finish when `run()` or `withServiceClient` ends the client. Zero or more.
    /// Keep it below the time that the program has to terminate: by default Kubernetes kills it 30 s after SIGTERM. See
    /// `Docs/Shutdown.md`. Default 25 s.
    public var drainTimeout: Duration = .seconds(25)

    /// Makes the defaults.
    public init() {}

    static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("drainTimeout", .duration(\.drainTimeout, .notNegative))
        ]
    }

    func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

/// Behaviours of your own around requests; in each list the first is the outermost.
public struct MiddlewareOptions: Sendable, ConfigurableOptions {
    /// Run once per call. Default none.
    public var perCall: [any ServiceMiddleware] = []
    /// Run for each attempt. Default none.
    public var perAttempt: [any ServiceMiddleware] = []

    /// Makes the defaults.
    public init() {}
}
