/// Options that say how many connections there may be, and how long they are kept. `nil` means no limit.
public struct PoolOptions: Sendable, Hashable, ConfigurableOptions {
    /// Whether connections are reused. If false, each request dials its own connection and sends `Connection: close`.
    /// Default true.
    public var isEnabled = true
    /// How long a connection may be idle; then a timer closes it. Greater than zero. Default 90 s.
    public var idleTimeout: Duration? = .seconds(90)
    /// How many idle connections are kept for one origin, over all addresses of its host. When there is one more, the
    /// connection that has been idle longest closes. From 0. Default 64.
    public var maximumIdlePerOrigin = 64
    /// How many idle connections are kept for all origins together. When there is one more, the least recently used
    /// connection closes. From 0. Default 512.
    public var maximumIdle = 512
    /// How many connections one origin may have, in use, idle and being dialled. At this limit requests wait in order
    /// of arrival. From 1. Default 256.
    ///
    /// An HTTP/2 connection that takes no new requests, and only finishes its open requests, does not count. This
    /// happens after a GOAWAY, at the end of the connection's lifetime, after its last use, or when its peer has
    /// stopped answering. At most ``HTTP2Options/maximumConnectionsPerOrigin`` such connections are left out of the
    /// count at once.
    ///
    /// If requests are balanced over the addresses of the host (``BalancingOptions``), the limit holds for each address.
    /// So do ``maximumWaiting`` and ``minimumIdlePerOrigin``.
    public var maximumPerOrigin: Int? = 256
    /// How many requests may wait for a connection to one origin. Another request fails with
    /// ``ServiceError/Code/poolSaturated``. From 0. Default 10,000.
    public var maximumWaiting: Int? = 10_000
    /// How old a connection may become (± 10 %). An older connection closes when it is next idle. Greater than zero.
    /// Default 10 min.
    public var maximumLifetime: Duration? = .seconds(600)
    /// How many requests a connection may carry. From 1. Default nil.
    public var maximumUses: Int?
    /// How many idle connections are kept ready for an origin that has been used or prewarmed. From 0, at most
    /// ``maximumIdlePerOrigin``. Default 0.
    ///
    /// ``maximumIdle`` takes precedence. If that limit closes an idle connection of an origin, the client dials no
    /// connection to this origin in advance for at least 10 s. After that time, it dials in advance again when a
    /// request has used one of the origin's idle connections.
    public var minimumIdlePerOrigin = 0

    /// Makes the defaults.
    public init() {}

    /// For one busy origin: 50 idle connections, kept for 120 s.
    public static var highThroughput: PoolOptions {
        var options = PoolOptions()
        options.maximumIdlePerOrigin = 50
        options.idleTimeout = .seconds(120)
        return options
    }

    /// For small machines: 2 idle connections per origin, kept for 10 s.
    public static var lowMemory: PoolOptions {
        var options = PoolOptions()
        options.maximumIdlePerOrigin = 2
        options.idleTimeout = .seconds(10)
        return options
    }

    /// For crawlers and webhooks: 1 idle connection per origin, kept for 30 s.
    public static var manyDestinations: PoolOptions {
        var options = PoolOptions()
        options.maximumIdlePerOrigin = 1
        options.idleTimeout = .seconds(30)
        return options
    }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("isEnabled", .flag(\.isEnabled)),
            OptionKnob("idleTimeout", .optionalDuration(\.idleTimeout, .positive)),
            OptionKnob("maximumIdlePerOrigin", .integer(\.maximumIdlePerOrigin, 0...Int.max)),
            OptionKnob("maximumIdle", .integer(\.maximumIdle, 0...Int.max)),
            OptionKnob("maximumPerOrigin", .optionalInteger(\.maximumPerOrigin, 1...Int.max)),
            OptionKnob("maximumWaiting", .optionalInteger(\.maximumWaiting, 0...Int.max)),
            OptionKnob("maximumLifetime", .optionalDuration(\.maximumLifetime, .positive)),
            OptionKnob("maximumUses", .optionalInteger(\.maximumUses, 1...Int.max)),
            OptionKnob("minimumIdlePerOrigin", .integer(\.minimumIdlePerOrigin, 0...Int.max)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        var problems = Self.knobs.problems(of: self, at: path)
        if minimumIdlePerOrigin > maximumIdlePerOrigin {
            problems.append(
                ConfigurationProblem("\(path).minimumIdlePerOrigin", "must not exceed \(path).maximumIdlePerOrigin")
            )
        }
        if let maximumPerOrigin, minimumIdlePerOrigin > maximumPerOrigin {
            problems.append(
                ConfigurationProblem("\(path).minimumIdlePerOrigin", "must not exceed \(path).maximumPerOrigin")
            )
        }
        if !isEnabled, minimumIdlePerOrigin > 0 {
            problems.append(
                ConfigurationProblem("\(path).minimumIdlePerOrigin", "must be 0 when \(path).isEnabled is false")
            )
        }
        return problems
    }
}
