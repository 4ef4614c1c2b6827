import BowlineCore
import Foundation

@testable import BowlineCall

/// An instant that the test sets.
struct FixedMoment: CallCircumstances {
    var now = MonotonicInstant(nanoseconds: 0)
    var wallClock: Int64 = 1_700_000_000
    var random = 0.5
    var isDraining = false
}

/// A call's machine, and the transitions that it has made.
final class DrivenCall {
    /// One transition, written like a row of the machine's table.
    struct Transition: Hashable, CustomStringConvertible {
        let state: String
        let input: String
        let step: String
        let next: String

        var description: String { "\(state) | \(input) | \(step) | \(next)" }
    }

    private var machine: CallStateMachine
    private(set) var transitions: [Transition] = []
    var moment = FixedMoment()

    init(
        _ request: ServiceRequest, policies: CallPolicies = CallPolicies(), deadline: Deadline? = nil, attempt: Int = 1
    ) {
        machine = CallStateMachine(request, policies: policies, deadline: deadline, attempt: attempt)
    }

    var request: ServiceRequest { machine.request }
    var attempt: Int { machine.attempt }
    var retries: Int { machine.retries }
    var followed: [ServiceURL] { machine.followed }

    func begin() -> CallStateMachine.Step { note("begin") { $0.begin() } }

    func attemptEnded(_ outcome: inout AttemptOutcome, _ number: Int) -> CallStateMachine.Step {
        note("attemptEnded") { $0.attemptEnded(number, &outcome, moment) }
    }

    func renewed() -> CallStateMachine.Step { note("renewed") { $0.renewed() } }

    func notRenewed(_ outcome: inout AttemptOutcome) -> CallStateMachine.Step {
        note("notRenewed") { $0.notRenewed(&outcome, moment) }
    }

    func bodyAbandoned(_ outcome: inout AttemptOutcome) -> CallStateMachine.Step {
        note("bodyAbandoned") { $0.bodyAbandoned(&outcome, moment) }
    }

    func verdictConfirmed(_ verdict: RetryDecision.Verdict, _ outcome: inout AttemptOutcome) -> CallStateMachine.Step {
        note("verdictConfirmed") { $0.verdictConfirmed(verdict, &outcome, moment) }
    }

    func successReported(_ outcome: inout AttemptOutcome) -> CallStateMachine.Step {
        note("successReported") { $0.successReported(&outcome, moment) }
    }

    func waitEnded(isDue: Bool, _ outcome: inout AttemptOutcome) -> CallStateMachine.Step {
        note("waitEnded") { $0.waitEnded(isDue: isDue, &outcome, moment) }
    }

    func admitted(after outcome: AttemptOutcome) -> CallStateMachine.Step {
        note("admitted") { $0.admitted(after: outcome) }
    }

    func drained(_ outcome: inout AttemptOutcome) -> CallStateMachine.Step {
        note("drained") { $0.drained(&outcome, moment) }
    }

    func hopBegan() -> CallStateMachine.Step { note("hopBegan") { $0.hopBegan() } }

    private func note(
        _ input: String, _ change: (inout CallStateMachine) -> CallStateMachine.Step
    ) -> CallStateMachine.Step {
        let state = "\(machine.state)"
        let step = change(&machine)
        transitions.append(Transition(state: state, input: input, step: step.name, next: "\(machine.state)"))
        return step
    }
}

extension CallStateMachine.Step {
    /// Its name in the machine's table.
    var name: String {
        switch self {
        case .startAttempt: "startAttempt"
        case .renewCredentials: "renewCredentials"
        case .abandonBody: "abandonBody"
        case .confirmVerdict: "confirmVerdict"
        case .reportRetrySuccess: "reportRetrySuccess"
        case .wait: "wait"
        case .admit: "admit"
        case .follow: "follow"
        case .refuse: "refuse"
        case .finish: "finish"
        }
    }
}

extension DrivenCall.Transition {
    /// The rows of the table in the machine's documentation. A row with several steps stands for as many.
    static func documented() throws -> Set<DrivenCall.Transition> {
        let here = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let source = try String(
            contentsOf: root.appendingPathComponent("Sources/BowlineCall/Executor/CallStateMachine.swift"),
            encoding: .utf8)
        let rows = source.split(separator: "\n").filter { $0.hasPrefix("/// | ") }.dropFirst()
        /// The states that follow each step.
        var states: [String: String] = [:]
        var found: Set<DrivenCall.Transition> = []
        for row in rows {
            let cells = row.dropFirst("/// |".count).split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard cells.count == 4 else { continue }
            let steps = cells[2].components(separatedBy: ", ")
            if steps.count == 1, cells[3] != "as above" { states[cells[2]] = cells[3] }
            for step in steps {
                let next = cells[3] == "as above" ? states[step] ?? "" : cells[3]
                found.insert(DrivenCall.Transition(state: cells[0], input: cells[1], step: step, next: next))
            }
        }
        return found
    }
}
