internal import BowlineCore

/// The dimensions that distinguish the series of one instrument.
protocol MetricSeries: Hashable, Sendable {
    var dimensions: [(String, String)] { get }
}

/// The origin of a request.
struct ServerPlace: MetricSeries {
    let address: String
    /// The port; nil: the address is a socket's path or `_OTHER`.
    let port: Int?

    /// Stands for all origins that have no series of their own.
    static let other = ServerPlace(address: "_OTHER", port: nil)

    private init(address: String, port: Int?) {
        self.address = address
        self.port = port
    }

    init(_ origin: Origin) {
        self.init(
            address: origin.socketPath ?? origin.host, port: origin.socketPath == nil ? origin.port : nil
        )
    }

    var dimensions: [(String, String)] {
        var dimensions = [("server.address", address)]
        if let port { dimensions.append(("server.port", "\(port)")) }
        return dimensions
    }
}

/// How an attempt ended.
struct RequestSeries: MetricSeries {
    var method: HTTPMethodName
    var place: ServerPlace
    var status: Int?
    var failure: FailureName?
    var protocolVersion: ConnectionFacts.ProtocolVersion?

    var dimensions: [(String, String)] {
        var dimensions = [("http.request.method", method.rawValue)] + place.dimensions
        if let status { dimensions.append(("http.response.status_code", "\(status)")) }
        if let failure {
            dimensions.append(("error.type", failure.text))
        } else if let status, status >= 400 {
            dimensions.append(("error.type", "\(status)"))
        }
        if let protocolVersion {
            dimensions.append(("network.protocol.version", protocolVersion.number))
        }
        return dimensions
    }
}

/// An attempt in flight.
struct ActiveSeries: MetricSeries {
    let method: HTTPMethodName
    let place: ServerPlace

    var dimensions: [(String, String)] { [("http.request.method", method.rawValue)] + place.dimensions }
}

/// A connection, in use or not.
struct ConnectionSeries: MetricSeries {
    let isActive: Bool
    let place: ServerPlace

    var dimensions: [(String, String)] {
        [("http.connection.state", isActive ? "active" : "idle")] + place.dimensions
    }
}

/// A decision about a retry.
struct RetrySeries: MetricSeries {
    let place: ServerPlace
    /// The reason why there is no retry; nil: there is a retry.
    let reason: RetryDecision.Reason?

    var dimensions: [(String, String)] {
        place.dimensions + [("bowline.retry.verdict", reason?.rawValue ?? "retry")]
    }
}

/// How a hedge ended.
struct HedgeSeries: MetricSeries {
    enum Outcome: String {
        /// Its response is the outcome of the attempt.
        case won
        /// Another attempt had an acceptable response first.
        case lost
        /// No attempt had an acceptable response.
        case failed
        /// The caller was cancelled.
        case cancelled
        /// The retry budget refused it, so it was not sent.
        case refused
    }

    let place: ServerPlace
    let outcome: Outcome

    var dimensions: [(String, String)] { place.dimensions + [("bowline.hedge.outcome", outcome.rawValue)] }
}

/// An error that was answered by a fallback.
struct FallbackSeries: MetricSeries {
    let place: ServerPlace
    let failure: FailureName

    var dimensions: [(String, String)] { place.dimensions + [("error.type", failure.text)] }
}

/// A scope of gates.
struct ScopeSeries: MetricSeries {
    let place: ServerPlace
    /// The name from `options.policyScope`; nil: the whole origin.
    let name: String?

    var dimensions: [(String, String)] {
        place.dimensions + (name.map { [("bowline.scope", $0)] } ?? [])
    }
}

/// A gate of a scope.
struct GateSeries: MetricSeries {
    let scope: ScopeSeries
    let gate: ServiceGate

    var dimensions: [(String, String)] { scope.dimensions + [("bowline.gate", gate.rawValue)] }
}

/// A refusal by a gate.
struct RefusalSeries: MetricSeries {
    let gate: GateSeries
    let reason: GateRefusal.Reason

    var dimensions: [(String, String)] { gate.dimensions + [("bowline.gate.reason", reason.rawValue)] }
}

/// A change of a circuit breaker to this state.
struct BreakerSeries: MetricSeries {
    let scope: ScopeSeries
    let state: BreakerState

    var dimensions: [(String, String)] { scope.dimensions + [("bowline.breaker.state", state.rawValue)] }
}
