internal import Bowline

/// One request as the client program meant it, with the expected bodies of its answers.
struct LedgerSent: Sendable {
    var id: UInt64
    var method: HTTPRequest.Method
    /// The target that the service must receive.
    var target: String
    /// All fields that the program and the client's configuration add.
    var fields: [LedgerField]
    var trailers: [LedgerField] = []
    var body = BodyDigest.empty
    /// Whether the client adds an `Idempotency-Key`.
    var isKeyed = false
    /// Whether the client may send the request again when its outcome is unknown.
    var isIdempotent: Bool
    /// The body of a complete answer if the service executed the request.
    var answer = BodyDigest.empty
    /// The body of a complete answer if the service did not execute the request.
    var rejection = BodyDigest.empty

    /// Whether the service must execute the request at most once: it is not idempotent, or the service recognises its
    /// key.
    var isOnce: Bool { !isIdempotent || isKeyed }
}

/// The outcome of a call, as the client program saw it.
enum LedgerTold: Sendable {
    /// A complete answer.
    case answered(LedgerAnswer)
    /// A ``ServiceError``: its code, its progress and its description.
    case failed(code: String, progress: RequestProgress, text: String)
    /// `CancellationError`.
    case cancelled
    /// An error of another type.
    case other(String)
    /// No outcome: the call has not ended.
    case nothing
}

/// An answer that the program read to its end.
struct LedgerAnswer: Sendable {
    var status: Int
    /// The request's id in the answer's fields.
    var id: UInt64?
    /// Whether the service says that it executed the request.
    var saysExecuted: Bool
    var body: BodyDigest
    /// Whether the answer has all the large fields that the service has announced in it, each complete.
    var hasItsFields = true
    /// The proxy of the connection, as the client reports it; nil: none.
    var proxy: String?
}

/// One call of the client program.
struct LedgerCall: Sendable {
    var sent: LedgerSent
    var told = LedgerTold.nothing
    /// How many requests the client reports as sent for the call; nil: the client does not report it.
    var requestsSent: Int?
    /// The start, in nanoseconds on the machine's monotonic clock. The other times use the same clock.
    var startedAt: Int64 = 0
    /// When the program got the outcome; nil: it has not got one yet.
    var endedAt: Int64?
    /// The deadline of the call.
    var deadlineAt: Int64 = .max
    /// When the program cancelled the call's task; nil: it did not cancel it.
    var cancelledAt: Int64?
}

/// One request that the service received completely and executed.
struct LedgerExecution: Sendable {
    /// The id in the request's fields; nil: there is none.
    var id: UInt64?
    var method: HTTPRequest.Method
    var target: String
    var fields: [LedgerField]
    var trailers: [LedgerField] = []
    var body = BodyDigest.empty
    /// Whether the service already knew the request's `Idempotency-Key`. A replay does not count as an execution.
    var isReplay = false
    /// Its `Host` field, over HTTP/2 its `:authority`; nil: it has none.
    var authority: String?
}

/// The resources that are left after everything has shut down.
struct LedgerRemains: Sendable {
    /// Connections, dials, waiters and streams in the client's pools.
    var pooled = 0
    /// Calls in flight, by the client's own count.
    var inFlight = 0
    /// The number of calls that left a task behind.
    var tasks = 0
    /// Sleeps of the client that have not ended. Counted after the client is released, and only if the plan of the
    /// episode says so.
    var timers = 0
    /// Whether the client reports that it is closed.
    var isClosed = true
    /// Open descriptors before and after the episode; nil: the system does not report them.
    var descriptorsBefore: Int?
    var descriptorsAfter: Int?
}

/// The records of both sides of one episode.
struct LedgerRecord: Sendable {
    var calls: [LedgerCall]
    var executions: [LedgerExecution]
    var remains = LedgerRemains()
    /// The value that `Host` must have in HTTP/1.1 requests, and `:authority` in HTTP/2 requests.
    var authority = ""
    /// How the client reaches the service.
    var route = LedgerRoute.direct
    /// Whether the server, the path and the program disturb no call, so that every call must succeed.
    var isCalm = false
    /// The instant at which a shutdown during the run cancels the calls in flight; nil: there was no such shutdown.
    var shutdownAt: Int64?
    /// Input that the service could not parse as requests. There must be none: without TLS the path
    /// changes no byte, and TLS rejects changed bytes.
    var malformed: [String] = []
    /// Rules of HTTP/2 that the client broke, by connection. HTTP/2 is inside TLS, so the path cannot cause them.
    var brokenRules: [String] = []
}
