internal import Synchronization

/// How attempts are distributed over the addresses of a host, or over several base URLs (*endpoints*).
///
/// For each attempt, two endpoints are drawn at random, and the one with the smaller product of latency and attempts in
/// flight gets the attempt. An endpoint that fails again and again, or far more often than the others, is *ejected* for
/// some time. Failures are dials and connections that fail, timeouts, and the statuses 500, 502, 503 and 504. After an
/// ejection the first failure ejects the endpoint again. Retries and hedges avoid the endpoints that the call has
/// already used. Retry budgets and gates count requests to the origin that the caller names, not to endpoints.
public struct BalancingOptions: Sendable, ConfigurableOptions {
    /// Where the attempts may go. Default `.addresses`.
    public var endpoints: EndpointSource = .addresses
    /// The zone of this program. Endpoints of this zone are preferred while at least half of them are usable; nil: all
    /// zones are equal. Default nil.
    public var zone: String?
    /// After how many failures in a row an endpoint is ejected; 1 to 1,000. Default 5.
    public var consecutiveFailures = 5
    /// How long an endpoint is ejected the first time; greater than zero. Each further time doubles it, up to
    /// ``maximumEjection``. Default 5 s.
    public var ejection: Duration = .seconds(5)
    /// The longest ejection; at least ``ejection``. Each time that an endpoint has been usable for as long as it was
    /// ejected before, the next ejection is halved. Default 5 min.
    public var maximumEjection: Duration = .seconds(300)
    /// The share of endpoints that may be ejected at once; 0 to 1. If more would be ejected, the ejections are ignored
    /// and all endpoints are used (*panic*). Default 0.5.
    public var maximumEjected = 0.5
    /// How long a new endpoint, or one that was ejected, gets less than its full share; zero or more. Its share rises
    /// evenly. Default 10 s.
    public var slowStart: Duration = .seconds(10)

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("endpoints", .other { $0.endpoints.problems(at: $1) }),
            OptionKnob("zone", .other { _, _ in [] }),
            OptionKnob("consecutiveFailures", .integer(\.consecutiveFailures, 1...1000)),
            OptionKnob("ejection", .duration(\.ejection, .positive)),
            OptionKnob("maximumEjection", .duration(\.maximumEjection, .positive)),
            OptionKnob("maximumEjected", .number(\.maximumEjected, 0...1)),
            OptionKnob("slowStart", .duration(\.slowStart, .notNegative)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        var problems = Self.knobs.problems(of: self, at: path)
        if problems.isEmpty, maximumEjection < ejection {
            problems.append(ConfigurationProblem("\(path).maximumEjection", "must be at least ejection"))
        }
        return problems
    }
}

/// A base URL that attempts may go to.
public struct ServiceEndpoint: Sendable, Hashable {
    /// The base URL. It replaces the client's base URL: an attempt's URL keeps the part after the client's base URL.
    public var url: String
    /// The endpoint's share of the attempts, relative to the other endpoints; 0 to 1,000,000. With 0, the endpoint gets
    /// no attempts. Default 1.
    public var weight: Int
    /// The endpoint's zone, for ``BalancingOptions/zone``; nil: none. Default nil.
    public var zone: String?

    /// Makes an endpoint.
    public init(_ url: String, weight: Int = 1, zone: String? = nil) {
        self.url = url
        self.weight = weight
        self.zone = zone
    }
}

/// Where attempts may go.
public enum EndpointSource: Sendable {
    /// The addresses of each request's host: one pool of connections for each address. A proxy hides the addresses, so
    /// requests through a proxy are not balanced.
    case addresses
    /// These base URLs; the client needs a base URL, which they replace. Endpoints get the credentials and the client's
    /// `fields`, because both belong to the client's base URL. Requests with another origin than the client's base URL
    /// are not balanced. An absolute URL of an endpoint, in a request or in a redirect, counts as the same URL below the
    /// client's base URL; a redirect first goes to the endpoint that it names.
    case fixed([ServiceEndpoint])
    /// Lists of base URLs, each replacing the list before it. A source of service discovery plugs in here. Otherwise as
    /// ``fixed(_:)``.
    case updates(EndpointUpdates)

    func problems(at path: String) -> [ConfigurationProblem] {
        guard case .fixed(let endpoints) = self else { return [] }
        return ServiceEndpoint.problems(of: endpoints, at: path)
    }
}

extension ServiceEndpoint {
    /// Returns the problems of a list of endpoints.
    package static func problems(of endpoints: [ServiceEndpoint], at path: String) -> [ConfigurationProblem] {
        guard !endpoints.isEmpty else { return [ConfigurationProblem(path, "must not be empty")] }
        var problems: [ConfigurationProblem] = []
        for (index, endpoint) in endpoints.enumerated() {
            if !(0...1_000_000).contains(endpoint.weight) {
                problems.append(
                    ConfigurationProblem("\(path)[\(index)].weight", "must be 0 to 1000000, is \(endpoint.weight)"))
            }
            if (try? ServiceURL(endpoint.url)) == nil {
                problems.append(ConfigurationProblem("\(path)[\(index)].url", "must be an absolute http or https URL"))
            }
        }
        if problems.isEmpty, endpoints.allSatisfy({ $0.weight == 0 }) {
            problems.append(ConfigurationProblem(path, "must have an endpoint with a weight above 0"))
        }
        return problems
    }
}

/// An asynchronous sequence of endpoint lists, as a service discovery gives them.
///
/// A client begins to read the sequence when it sends its first balanced request. When it has shut down or is released, it
/// cancels the reading task; if the sequence ignores this, the client reads at most one more list. If the sequence ends
/// or throws, the client keeps the last list and reports it as an event. An empty list makes attempts wait for a list, at
/// most for `timeouts.poolAcquire`; then they fail with `noEndpoint`. They fail at once if the sequence has ended. An
/// entry that is not valid, or that repeats a URL, is ignored and reported.
public final class EndpointUpdates: Sendable {
    /// Reads the sequence, and calls `update` with each list. Returns when the sequence ends.
    package let read: @Sendable (_ update: @Sendable ([ServiceEndpoint]) -> Void) async throws -> Void

    private let isClaimed = Atomic(false)

    /// Returns true once: for the client that reads the sequence. A sequence such as `AsyncStream` traps if two tasks
    /// read it.
    package func claim() -> Bool { !isClaimed.exchange(true, ordering: .relaxed) }

    /// Makes the source of a sequence. The sequence is read once, by the first client that uses it. For another client,
    /// which has no part in that client's connections, the sequence has failed: it gets no endpoint.
    public init<Lists: AsyncSequence & Sendable>(_ lists: Lists) where Lists.Element == [ServiceEndpoint] {
        read = { update in
            for try await list in lists {
                // A sequence may ignore its cancellation, and would be read for ever.
                try Task.checkCancellation()
                update(list)
            }
        }
    }
}
