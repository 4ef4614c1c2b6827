import BowlineCore

@testable import BowlineCall

/// A rate machine, and the transitions that it has made.
struct DrivenRate {
    private(set) var machine = RateStateMachine()
    private(set) var transitions: Set<DocumentedTransition> = []

    mutating func take(
        at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant? = nil, _ rule: RateRule
    ) -> RateDecision {
        note("take", at: now) { $0.take(at: now, waitEnds: waitEnds, deadline: deadline, rule) }
    }

    /// Takes with the rule's own maximum wait.
    mutating func take(at now: MonotonicInstant, deadline: MonotonicInstant? = nil, _ rule: RateRule) -> RateDecision {
        take(at: now, waitEnds: now.advanced(by: rule.maximumWait), deadline: deadline, rule)
    }

    mutating func woke(
        _ reservation: RateReservation, at now: MonotonicInstant, deadline: MonotonicInstant? = nil, _ rule: RateRule
    ) -> RateDecision {
        note("woke", at: now) { $0.woke(reservation, at: now, deadline: deadline, rule) }
    }

    mutating func withdrawn(_ reservation: RateReservation, at now: MonotonicInstant) {
        note("withdrawn", at: now) { $0.withdrawn(reservation, at: now) }
    }

    mutating func answered(_ advice: RateAdvice, at now: MonotonicInstant, random: Double = 0.5) {
        note("answered", at: now) { $0.answered(advice, at: now, random: random) }
    }

    mutating func reset(at now: MonotonicInstant) {
        note("reset", at: now) { $0.reset() }
    }

    private mutating func note<Result>(
        _ input: String, at now: MonotonicInstant, _ change: (inout RateStateMachine) -> Result
    ) -> Result {
        let state = machine.state(at: now).rawValue
        let result = change(&machine)
        let decision =
            switch result as? RateDecision {
            case .go: "go"
            case .wait: "wait"
            case .refuse: "refuse"
            case nil: "–"
            }
        transitions.insert(
            DocumentedTransition(
                state: state, input: input, result: decision, next: machine.state(at: now).rawValue))
        return result
    }
}

extension DocumentedTransition {
    /// The rows of the table in the documentation of a machine. A row with several results or next states stands for as
    /// many.
    static func expandedRows(of file: String) throws -> Set<Self> {
        var found: Set<Self> = []
        for cells in try cells(of: file) where cells.count == 4 {
            for result in cells[2].split(separator: ", ") {
                for next in cells[3].split(separator: ", ") {
                    found.insert(Self(state: cells[0], input: cells[1], result: String(result), next: String(next)))
                }
            }
        }
        return found
    }
}
