internal import Bowline

/// The answer that a caller got.
struct SimulationAnswer: Sendable, Hashable {
    var status = 0
    /// The call whose number the answer has. nil: it has none.
    var number: Int?
    var saysExecuted = false
    /// Whether the end of the connection was the end of the body, so that a cut is not noticed.
    var isUntilClose = false
    var received = 0
    /// Whether the bytes that arrived are those of the call's answer.
    var isMatching = true
    /// Whether the caller has read the body to its end.
    var isWhole = false
    /// The code of the error that ended the body. nil: none did.
    var bodyError: String?
}

/// The outcome of a call, as its caller saw it.
enum SimulationTold: Sendable, Hashable {
    case answered(SimulationAnswer)
    /// No answer.
    case failed(code: String, RequestProgress)
    case cancelled
    /// The caller was cancelled while it read the body of this answer.
    case cancelledInBody(SimulationAnswer)
    /// An error of an unknown type.
    case other(String)
}

/// One call of a finished simulation.
struct SimulationCallRecord: Sendable {
    let call: SimulationCall
    var began: MonotonicInstant?
    var cancelled: MonotonicInstant?
    var ended: MonotonicInstant?
    /// How often the call has ended: once.
    var endings = 0
    var told: SimulationTold?
    var requestsSent: Int?
}

/// A decision of the client, in the order in which they came.
enum SimulationStep: Sendable {
    /// A call's hop was counted in the budget of a host.
    case requested(call: Int, hop: Int)
    case retryGranted(call: Int, hop: Int, attempt: Int)
    case retryBegan(call: Int, hop: Int, attempt: Int)
    case headSent(call: Int, hop: Int, attempt: Int)
    case drainBegan
}

/// A shutdown that has ended.
struct SimulationShutdownRecord: Sendable {
    /// Calls in flight when it began.
    let inFlight: Int
    let limit: Duration
    let report: ShutdownReport
    /// Whether another shutdown or a cancellation may have moved the deadline.
    let isDisturbed: Bool
}

/// What was left after the client's end.
struct SimulationRemains: Sendable, Hashable {
    var pooled = 0
    var channels = 0
    var inFlight = 0
    var isClosed = true
    /// Tasks that sleep, long after the client was released.
    var sleepers = 0
}

/// The complete record of one simulation.
struct SimulationRecord: Sendable {
    let plan: SimulationPlan
    var calls: [SimulationCallRecord] = []
    var steps: [(at: MonotonicInstant, step: SimulationStep)] = []
    var executions: [Int] = []
    /// The executions with the method of the call. A redirect may have made a GET of it.
    var executionsUnchanged: [Int] = []
    var arrivals: [Int] = []
    /// The client's faults as the peers saw them.
    var problems: [String] = []
    /// Violations of the pool's invariants.
    var poolViolations: [String] = []
    var shutdown: SimulationShutdownRecord?
    var remains = SimulationRemains()
    /// How often things happened.
    var figures: [String: Int] = [:]
    var trace: [String] = []
}
