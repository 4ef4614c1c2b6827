/// The rules of the ledger. Each case names what a run must never show.
enum LedgerRule: String, Sendable, CaseIterable {
    case answeredNotExecuted = "answered, not executed"
    case routeDiffers = "route differs"
    case foreignAnswer = "answer of another request"
    case wrongAnswer = "answer not as sent"
    case executedTwice = "executed twice"
    case executedNeverSent = "executed, neverSent"
    case executedRefused = "executed, refused"
    case executedRejected = "executed, rejected"
    case moreThanSent = "executed more than sent"
    case unknownExecution = "execution of no request"
    case methodDiffers = "method differs"
    case targetDiffers = "target differs"
    case fieldsDiffer = "fields differ"
    case foreignField = "field of another request"
    case trailersDiffer = "trailers differ"
    case bodyDiffers = "body differs"
    case keyDiffers = "key shared or changed"
    case malformedRequest = "malformed request"
    case brokenRule = "HTTP/2 rule broken"
    case late = "late"
    case notEnded = "not ended"
    case strayCancellation = "stray cancellation"
    case unexpectedError = "unexpected error"
    case calmFailure = "failed without a cause"
    case poolNotEmpty = "pool not empty"
    case callsLeft = "calls left"
    case tasksLeft = "tasks left"
    case timersLeft = "timers left"
    case descriptorsLeft = "descriptors left"
    case memoryGrew = "memory grew"
    case hang = "hang"
}

/// One violation of a rule.
struct LedgerViolation: Sendable, CustomStringConvertible {
    let rule: LedgerRule
    /// The request; nil: the violation belongs to no request.
    let id: UInt64?
    let text: String

    init(_ rule: LedgerRule, _ id: UInt64? = nil, _ text: String) {
        self.rule = rule
        self.id = id
        self.text = text
    }

    var description: String {
        let request = id.map { " [\(LedgerContent.text(of: $0))]" } ?? ""
        return "\(rule.rawValue)\(request): \(text)"
    }
}
