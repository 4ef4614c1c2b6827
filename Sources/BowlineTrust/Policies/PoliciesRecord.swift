internal import Bowline

/// An attempt that the client has given to its transport.
struct PoliciesArrival: Sendable {
    let call: Int
    let method: HTTPRequest.Method
    /// How many redirects came before.
    let hop: Int
    /// How many attempts of the call have arrived, this one included.
    let number: Int
    /// The attempt's number within its hop, and whether it is a hedge.
    let attempt: Int
    let isHedge: Bool
    /// The host that it goes to.
    let server: String
    /// The host that the caller named, or the last redirect.
    let named: String
    let sent: MonotonicInstant
    /// Whether it has a bearer token.
    var hasToken: Bool
    /// When the head of the response arrived, or the attempt failed.
    var left: MonotonicInstant?
    /// Whether the service has seen the request.
    var isReceived = false
    var isExecuted = false
    /// The status of the response that the client got. nil: none.
    var status: Int?
    /// `Retry-After` of this response.
    var retryAfter: Int?
    /// The host that the service redirected to, as the caller would name it. nil: it did not.
    var leadsTo: String?
}

/// The error of a call, as its caller saw it.
struct PoliciesFailure: Sendable, Hashable {
    var code: String
    var progress: RequestProgress
    var requestsSent = 0
    /// What `error.refusal` says.
    var refusal: GateRefusal?
    var retryAfter: Duration?
}

/// The answer that a caller got.
struct PoliciesAnswer: Sendable, Hashable {
    var status = 200
    /// The call whose number the answer has. nil: it has none.
    var number: Int?
    var requestsSent = 1
    /// The code of the error that ended the body. nil: none did.
    var bodyError: String?
}

/// The outcome of a call, as its caller saw it.
enum PoliciesTold: Sendable, Hashable {
    case answered(PoliciesAnswer)
    case failed(PoliciesFailure)
    /// The call failed, and its fallback made the answer.
    case fellBack(PoliciesFailure)
    case cancelled
    /// An error of an unknown type.
    case other(String)
}

/// One call of a finished simulation.
struct PoliciesCallRecord: Sendable {
    let call: PoliciesCall
    var began: MonotonicInstant?
    var cancelled: MonotonicInstant?
    var ended: MonotonicInstant?
    /// How often the call has ended: once.
    var endings = 0
    var told: PoliciesTold?
}

/// Something that happened, in the order in which it happened.
enum PoliciesStep: Sendable {
    case callBegan(Int)
    /// The attempt with this place in the list of arrivals was sent.
    case sent(Int)
    /// The attempt with this place in the list of arrivals has ended.
    case left(Int)
    /// An attempt came to the client's middleware: the gates have admitted it.
    case attemptBegan(call: Int, hop: Int, attempt: Int, isHedge: Bool)
    /// The client decided to retry. `isFree`: after a gate's refusal, which takes nothing from the budget.
    case retryGranted(host: String, call: Int, hop: Int, attempt: Int, isFree: Bool)
    case retryBegan(call: Int, hop: Int, attempt: Int)
    case hedgeBegan(host: String, call: Int, hop: Int, attempt: Int, hedge: Int)
    case hedgeRefused(call: Int, hop: Int, attempt: Int, hedge: Int)
    case breakerChanged(scope: String, BreakerState, openFor: Duration?)
    case drainBegan
}

/// A step, and when it was.
struct PoliciesMoment: Sendable {
    let at: MonotonicInstant
    let step: PoliciesStep
}

/// Counts that must be zero when all calls have ended.
struct PoliciesCount: Sendable, Hashable {
    /// What is counted, for example the attempts that wait for a gate.
    let what: String
    let count: Int
}

/// The complete record of one simulation.
struct PoliciesRecord: Sendable {
    let plan: PoliciesPlan
    var calls: [PoliciesCallRecord] = []
    var arrivals: [PoliciesArrival] = []
    var steps: [PoliciesMoment] = []
    /// The counts of the gates and of the balancers when all calls had ended.
    var counts: [PoliciesCount] = []
    var shutdown: SimulationShutdownRecord?
    var remains = SimulationRemains()
    /// How often things happened.
    var figures: [String: Int] = [:]
    var trace: [String] = []

    init(plan: PoliciesPlan) {
        self.plan = plan
    }
}
