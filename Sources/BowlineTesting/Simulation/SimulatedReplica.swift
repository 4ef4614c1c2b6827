public import BowlineCore
public import NIOCore

/// How one replica of a ``SimulatedService`` behaves while it has no fault.
///
/// A request arrives after ``latency``, waits in the queue for a free worker, uses the worker for ``workTime``, and its
/// answer travels back for ``latency``.
public struct SimulatedReplica: Sendable {
    /// How many requests the replica works on at once; 0 or more. Default 10.
    public var workers = 10
    /// How many requests may wait for a worker; nil: no limit. Beyond it, requests get ``overloadAnswer`` at once.
    /// Default nil.
    public var queueLimit: Int?
    /// How long a worker needs for a request. Default 10 ms.
    public var workTime = SimulatedDuration.constant(.milliseconds(10))
    /// How long a request, and its answer, travel. Default zero.
    public var latency = SimulatedDuration.constant(.zero)
    /// Whether a request still uses its place in the queue and its worker when the caller has given up, as at most
    /// servers. False: it leaves both at once. Default true.
    public var finishesAbandonedRequests = true
    /// The answer after the work. Default 200 without a body.
    public var answer = SimulatedAnswer()
    /// The answer of a request that finds the queue full. Default 503 without a body.
    public var overloadAnswer = SimulatedAnswer(.serviceUnavailable)
    /// Makes the answer from the request, and may wait, for example for a call of another client. It runs after the
    /// work time and still uses the worker. If it throws, the answer is 500. nil: the answer is ``answer``. Default nil.
    public var respond: (@Sendable (SimulatedCall) async throws -> SimulatedAnswer)?
    /// Returns a text that is the same for all requests that should be executed only once, for
    /// ``SimulatedService/executions``; nil: the request does not count. Default: the value of `Idempotency-Key`.
    public var identity: @Sendable (ServiceRequest) -> String? = { $0.fields[.idempotencyKey] }

    /// Makes the defaults.
    public init() {}

    /// How many requests per second the replica can process: the workers divided by the mean of the work time.
    public var capacity: Double {
        let seconds = workTime.mean.inSeconds
        return seconds > 0 ? Double(workers) / seconds : .infinity
    }
}

/// An answer of a simulated service.
public struct SimulatedAnswer: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields.
    public var fields: HTTPFields
    /// The body.
    public var body: ByteBuffer

    /// Makes an answer.
    ///
    /// - Parameters:
    ///   - status: The status.
    ///   - fields: The header fields.
    ///   - body: The body.
    ///   - retryAfter: The value of a `Retry-After` field (RFC 9110 §10.2.3), with up to three decimals; nil: no field.
    public init(
        _ status: HTTPResponse.Status = .ok, fields: HTTPFields = [:], body: ByteBuffer = ByteBuffer(),
        retryAfter: Duration? = nil
    ) {
        self.status = status
        self.fields = fields
        self.body = body
        if let retryAfter { self.fields[.retryAfter] = Self.seconds(retryAfter) }
    }

    /// Whether the service did what it was asked: not 429, and not 500 or above.
    var isSuccess: Bool { status.code < 500 && status.code != 429 }

    private static func seconds(_ duration: Duration) -> String {
        let (seconds, rest) = max(duration.saturatingNanoseconds, 0).quotientAndRemainder(dividingBy: 1_000_000_000)
        guard rest >= 1_000_000 else { return "\(seconds)" }
        let decimals = String(rest / 1_000_000)
        return "\(seconds).\(String(repeating: "0", count: 3 - decimals.count))\(decimals)"
    }
}

/// A request at a simulated service.
public struct SimulatedCall: Sendable {
    /// The request.
    public let request: ServiceRequest
    /// The request's context at the client.
    public let context: RequestContext
    /// The number of the replica, from 0.
    public let replica: Int
}

/// A quota of a simulated service, for all its replicas together. Requests beyond it get 429.
public struct SimulatedQuota: Sendable, Hashable {
    /// Requests per second on average; more than 0.
    public var perSecond: Double
    /// How many requests may come at once after a pause; 1 or more.
    public var burst: Int
    /// Whether answers have the fields `RateLimit` and `RateLimit-Policy` (IETF draft
    /// draft-ietf-httpapi-ratelimit-headers), and those with 429 also `Retry-After`. Default true.
    public var isAnnounced: Bool

    /// Makes a quota.
    public init(perSecond: Double, burst: Int, isAnnounced: Bool = true) {
        self.perSecond = perSecond
        self.burst = burst
        self.isAnnounced = isAnnounced
    }
}
