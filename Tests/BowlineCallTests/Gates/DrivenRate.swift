import BowlineCore
import Foundation

@testable import BowlineCall

/// A rate machine, and the transitions that it has made.
struct DrivenRate {
    /// One transition, written like a row of the machine's table.
    struct Transition: Hashable, CustomStringConvertible {
        let state: String
        let input: String
        let decision: String
        let next: String

        var description: String { "\(state) | \(input) | \(decision) | \(next)" }
    }

    private(set) var machine = RateStateMachine()
    private(set) var transitions: Set<Transition> = []

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
            Transition(state: state, input: input, decision: decision, next: machine.state(at: now).rawValue))
        return result
    }
}

extension DrivenRate.Transition {
    /// The rows of the table in the machine's documentation. A row with several decisions or next states stands for as
    /// many.
    static func documented() throws -> Set<Self> {
        var found: Set<Self> = []
        for row in try MachineTable.rows(of: "RateStateMachine") where row[0] != "state" {
            for decision in row[2].components(separatedBy: ", ") {
                for next in row[3].components(separatedBy: ", ") {
                    found.insert(Self(state: row[0], input: row[1], decision: decision, next: next))
                }
            }
        }
        return found
    }
}

/// The tables in the documentation of the gates' machines.
enum MachineTable {
    /// Returns the cells of each row, without the line below the heading.
    static func rows(of machine: String) throws -> [[String]] {
        var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let path = "Sources/BowlineCall/Gates/\(machine).swift"
        let source = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        return source.split(separator: "\n").filter { $0.hasPrefix("/// | ") }.map { row in
            row.dropFirst("/// |".count).split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }
}
