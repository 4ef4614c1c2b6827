/// The limits on how long each phase of a request may take. `nil`, or `.unlimited`, means no limit. Every limit is
/// greater than zero.
public struct Timeouts: Sendable, Hashable, ConfigurableOptions {
    /// Bounds one dial: name resolution, TCP, the proxy, TLS and the peer's first HTTP/2 settings together. Default 10 s.
    public var connect: Duration? = .seconds(10)
    /// Bounds the wait for a connection that other requests use. While a dial for the request is under way, ``connect``
    /// applies and this limit does not. But if ``connect`` is nil, this limit bounds the dial too. Default 10 s.
    public var poolAcquire: Duration? = .seconds(10)
    /// Bounds the wait for the final response head, from the moment when the whole request was sent. Default 30 s.
    public var responseHead: Duration? = .seconds(30)
    /// Bounds the time without progress while a body is read or written. A pause of the body's reader does not count.
    /// Default 30 s.
    public var bodyIdle: Duration? = .seconds(30)
    /// Bounds one attempt, from the moment when it asks for a connection until the response head has arrived. It does
    /// not bound the body: ``bodyIdle`` and ``total`` bound it. Must not be longer than ``total``. Default nil.
    public var attempt: Duration?
    /// Bounds the whole request, from admission to the last byte of the body, including queueing, all attempts and the
    /// waits between them. Default 60 s; `client.download` has no total limit unless you set this.
    public var total: Duration? = .seconds(60) {
        didSet { choice.isTotalChosen = true }
    }
    private var choice = Choice()

    /// Makes the defaults.
    public init() {}

    /// Whether ``total`` was set, to any value.
    package var isTotalChosen: Bool { choice.isTotalChosen }

    /// How the value was set. Not part of equality: values that differ only in this are equal.
    private struct Choice: Sendable, Hashable {
        var isTotalChosen = false

        static func == (left: Choice, right: Choice) -> Bool { true }
        func hash(into hasher: inout Hasher) {}
    }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("connect", .optionalDuration(\.connect, .positive)),
            OptionKnob("poolAcquire", .optionalDuration(\.poolAcquire, .positive)),
            OptionKnob("responseHead", .optionalDuration(\.responseHead, .positive)),
            OptionKnob("bodyIdle", .optionalDuration(\.bodyIdle, .positive)),
            OptionKnob("attempt", .optionalDuration(\.attempt, .positive)),
            OptionKnob("total", .optionalDuration(\.total, .positive)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        var problems = Self.knobs.problems(of: self, at: path)
        if let attempt, let total, attempt > total {
            problems.append(ConfigurationProblem("\(path).attempt", "must not be longer than \(path).total"))
        }
        return problems
    }
}

extension Timeouts: CustomReflectable {
    /// The limits.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "connect": connect as Any, "poolAcquire": poolAcquire as Any, "responseHead": responseHead as Any,
                "bodyIdle": bodyIdle as Any, "attempt": attempt as Any, "total": total as Any,
            ],
            displayStyle: .struct
        )
    }
}

/// A request's own limits. Each limit that is not set is inherited from the client.
public struct TimeoutOverrides: Sendable, Hashable, ConfigurableOptions {
    /// Bounds the wait for a connection; see ``Timeouts/poolAcquire``.
    public var poolAcquire: TimeLimit = .inherited
    /// Bounds the wait for the response head; see ``Timeouts/responseHead``.
    public var responseHead: TimeLimit = .inherited
    /// Bounds the time without progress of a body; see ``Timeouts/bodyIdle``.
    public var bodyIdle: TimeLimit = .inherited
    /// Bounds one attempt; see ``Timeouts/attempt``.
    public var attempt: TimeLimit = .inherited
    /// Bounds the whole request; see ``Timeouts/total``.
    public var total: TimeLimit = .inherited

    /// Inherits everything.
    public init() {}

    /// Timeouts for a request or response body of any length: no ``total`` and no ``attempt``. The other limits are
    /// inherited from the client: ``bodyIdle`` for both bodies, ``responseHead`` from the moment when the whole request
    /// was sent, ``poolAcquire`` for the connection. A `Deadline.current` of the task still ends the request.
    ///
    /// ```swift
    /// let export = try await client.get("export") { $0.timeouts = .streaming }
    /// ```
    public static var streaming: TimeoutOverrides {
        var overrides = TimeoutOverrides()
        overrides.total = .unlimited
        overrides.attempt = .unlimited
        return overrides
    }

    package func resolved(over timeouts: Timeouts) -> Timeouts {
        guard !isInherited else { return timeouts }
        var result = timeouts
        result.poolAcquire = poolAcquire.resolved(over: timeouts.poolAcquire)
        result.responseHead = responseHead.resolved(over: timeouts.responseHead)
        result.bodyIdle = bodyIdle.resolved(over: timeouts.bodyIdle)
        result.attempt = attempt.resolved(over: timeouts.attempt)
        result.total = total.resolved(over: timeouts.total)
        return result
    }

    package var isInherited: Bool { self == Self.inheritingAll }

    private static let inheritingAll = TimeoutOverrides()

    package func validate() throws {
        let limits = [
            ("poolAcquire", poolAcquire), ("responseHead", responseHead), ("bodyIdle", bodyIdle),
            ("attempt", attempt), ("total", total),
        ]
        for case (let name, .limited(let duration)) in limits where duration <= .zero {
            throw ServiceError(.invalidRequest, "options.timeouts.\(name) must be greater than zero")
        }
    }
}
