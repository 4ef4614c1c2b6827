internal import Bowline
internal import BowlineTesting

/// Writes the client's events into the trace, and keeps the decisions that the judge needs.
// Safety: used on the simulation's thread only.
final class SimulationEvents: ServiceEventListener, @unchecked Sendable {
    private let time: VirtualTime
    private(set) var steps: [(at: MonotonicInstant, step: SimulationStep)] = []
    /// How often each kind of event came.
    private(set) var figures: [String: Int] = [:]
    private var hops: Set<[Int]> = []
    /// Whether the calls of this number count in a retry budget.
    private let isBudgeted: (Int) -> Bool

    init(_ time: VirtualTime, isBudgeted: @escaping (Int) -> Bool) {
        self.time = time
        self.isBudgeted = isBudgeted
    }

    /// Adds a decision that no event reports.
    func add(_ step: SimulationStep) {
        steps.append((time.now, step))
    }

    /// Counts a request in the budget. Called for each hop, before its first attempt.
    func hopBegan(_ call: Int, _ hop: Int) {
        guard isBudgeted(call), hops.insert([call, hop]).inserted else { return }
        add(.requested(call: call, hop: hop))
    }

    private func note(_ what: String, _ event: RequestEvent, _ detail: String = "") {
        figures[what, default: 0] += 1
        let connection = event.connection.map { " on \($0)" } ?? ""
        time.note(
            "client: \(event.target) hop \(event.hop) attempt \(event.attempt).\(event.resend) \(what)\(connection) \(detail)"
        )
    }

    private func note(_ what: String, _ event: ConnectionEvent, _ detail: String = "") {
        figures[what, default: 0] += 1
        time.note("client: connection \(event.connection) \(what) \(detail)")
    }

    private func number(_ event: RequestEvent) -> Int {
        SimulationContent.call(ofTarget: event.target)?.number ?? -1
    }

    // MARK: Requests

    func requestQueued(_ event: RequestEvent) {
        hopBegan(number(event), event.hop)
        note("queued", event)
    }

    func requestDequeued(_ event: RequestEvent, waited: Duration) {
        note("dequeued", event, "after \(waited)")
    }

    func requestLeased(_ event: RequestEvent, isReused: Bool) {
        hopBegan(number(event), event.hop)
        note("leased", event, isReused ? "reused" : "new")
    }

    func requestHeadSent(_ event: RequestEvent) {
        add(.headSent(call: number(event), hop: event.hop, attempt: event.attempt))
        note("sent", event)
    }

    func responseHead(_ event: RequestEvent, status: Int) {
        // The next hop is counted before it waits for credentials, and so before its first event.
        if (300..<400).contains(status) { hopBegan(number(event), event.hop + 1) }
        note("answered", event, "\(status)")
    }

    func responseBodyEnd(_ event: RequestEvent) { note("complete", event) }

    func requestEnded(_ event: RequestEvent, _ ending: RequestEnding) {
        switch ending {
        case .failed(let error): note("failed", event, "\(error.code.rawValue) \(error.progress.rawValue)")
        case .cancelled: note("cancelled", event)
        case .abandoned: note("abandoned", event)
        }
    }

    func requestResending(_ event: RequestEvent) { note("resending", event) }

    func retryDecided(_ event: RequestEvent, _ decision: RetryDecision) {
        if case .retry = decision.verdict {
            add(.retryGranted(call: number(event), hop: event.hop, attempt: event.attempt))
        }
        note("retry decided", event, "\(decision.verdict)")
    }

    func retryBegan(_ event: RequestEvent) {
        add(.retryBegan(call: number(event), hop: event.hop, attempt: event.attempt))
        note("retry began", event)
    }

    // MARK: Connections

    func connectionDialling(_ event: ConnectionEvent) { note("dialling", event) }
    func connectionResolved(_ event: ConnectionEvent) { note("resolved", event) }
    func connectionConnected(_ event: ConnectionEvent) { note("connected", event) }
    func connectionEstablished(_ event: ConnectionEvent) { note("established", event) }

    func connectionFailed(_ event: ConnectionEvent, error: ServiceError) {
        note("dial failed", event, error.code.rawValue)
    }

    func connectionReleased(_ event: ConnectionEvent) { note("released", event) }

    func connectionClosed(_ event: ConnectionEvent, reason: String, age: Duration) {
        note("closed", event, "\(reason) after \(age)")
        figures["closed: \(reason)", default: 0] += 1
    }
}
