internal import Bowline

/// What the client program wanted of one request.
struct LedgerSent: Sendable {
    var id: UInt64
    var method: HTTPRequest.Method
    /// The target as it has to stand in the request.
    var target: String
    /// All fields that the program, and the client's configuration, add.
    var fields: [LedgerField]
    var trailers: [LedgerField] = []
    var body = BodyDigest.empty
    /// Whether it has an `Idempotency-Key` that the client makes.
    var isKeyed = false
    /// Whether the client may send it again when its outcome is unknown.
    var isIdempotent: Bool
    /// What a whole answer of the service that executed it has for a body.
    var answer = BodyDigest.empty
    /// What an answer of the service that did not execute it has for a body.
    var rejection = BodyDigest.empty

    /// Whether the service must not execute it twice: not idempotent, or recognised by its key.
    var isOnce: Bool { !isIdempotent || isKeyed }
}

/// What the client program was told of a request.
enum LedgerTold: Sendable {
    /// A whole answer.
    case answered(LedgerAnswer)
    /// A ``ServiceError``: its code, its progress, and what it says.
    case failed(code: String, progress: RequestProgress, text: String)
    /// `CancellationError`.
    case cancelled
    /// An error of another type.
    case other(String)
    /// Nothing: the call has not ended.
    case nothing
}

/// An answer that was read whole.
struct LedgerAnswer: Sendable {
    var status: Int
    /// The id that it names.
    var id: UInt64?
    /// Whether the service says that it executed the request.
    var saysExecuted: Bool
    var body: BodyDigest
    /// Whether the fields that the service counts in it are all there, and whole.
    var hasItsFields = true
}

/// One call of the client program.
struct LedgerCall: Sendable {
    var sent: LedgerSent
    var told = LedgerTold.nothing
    /// How many requests the client says that it sent for the call; nil: it does not say.
    var requestsSent: Int?
    /// Nanoseconds on the machine's monotonic clock, as are the others.
    var startedAt: Int64 = 0
    /// When the program was told; nil: never.
    var endedAt: Int64?
    /// When the call's time was over.
    var deadlineAt: Int64 = .max
    /// When the program cancelled its task; nil: it did not.
    var cancelledAt: Int64?
}

/// One request that the service received whole and acted on.
struct LedgerExecution: Sendable {
    /// The id that a field names; nil: none does.
    var id: UInt64?
    var method: HTTPRequest.Method
    var target: String
    var fields: [LedgerField]
    var trailers: [LedgerField] = []
    var body = BodyDigest.empty
    /// The service had seen the request's `Idempotency-Key`, and answered from its memory.
    var isReplay = false
    /// Its `Host` field, over HTTP/2 its `:authority`; nil: it has none.
    var authority: String?
}

/// What was left when everything had been shut down.
struct LedgerRemains: Sendable {
    /// Connections, dials, waiters and streams in the client's pools.
    var pooled = 0
    /// Calls in flight by the client's own count.
    var inFlight = 0
    /// Calls of which a task is left.
    var tasks = 0
    /// Whether the client says that it is closed.
    var isClosed = true
    /// Descriptors open before and after; nil: the system does not say.
    var descriptorsBefore: Int?
    var descriptorsAfter: Int?
}

/// Both sides of one episode.
struct LedgerRecord: Sendable {
    var calls: [LedgerCall]
    var executions: [LedgerExecution]
    var remains = LedgerRemains()
    /// The value of the `Host` field that requests have to have over HTTP/1.1, and of `:authority` over HTTP/2.
    var authority = ""
    /// Whether neither the server, the path nor the program disturbs: every call has to succeed.
    var isCalm = false
    /// When calls in flight were to be cut off by a shutdown; nil: there was none before the calls had ended.
    var shutdownAt: Int64?
    /// What the service could not read as requests. On a path that keeps bytes as they are, there is none.
    var malformed: [String] = []
}
