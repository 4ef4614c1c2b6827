import BowlineCore
import BowlineTesting
import Foundation

@testable import BowlineCall

/// A round's machine, and the transitions that it has made.
final class DrivenRound {
    private var machine: HedgingStateMachine
    private(set) var transitions: Set<DrivenCall.Transition> = []

    init(
        delay: Duration = .milliseconds(10), maximumHedges: Int = 1, deadline: MonotonicInstant? = nil
    ) {
        machine = HedgingStateMachine(delay: delay, maximumHedges: maximumHedges, deadline: deadline)
    }

    var state: HedgingStateMachine.State { machine.state }
    var started: Int { machine.started }
    var inFlight: AttemptSet { machine.inFlight }
    var furthest: RequestProgress { machine.furthest }

    @discardableResult
    func began(_ now: Int = 0) -> HedgingStateMachine.Step { note("began") { $0.began(at: at(now)) } }

    @discardableResult
    func delayPassed(_ now: Int, isWaiting: Bool = false) -> HedgingStateMachine.Step {
        note("hedgeDelayPassed") { $0.hedgeDelayPassed(at: at(now), isWaiting: isWaiting) }
    }

    @discardableResult
    func granted(_ now: Int) -> HedgingStateMachine.Step { note("budgetGranted") { $0.budgetGranted(at: at(now)) } }

    @discardableResult
    func refused() -> HedgingStateMachine.Step { note("budgetRefused") { $0.budgetRefused() } }

    @discardableResult
    func drainBegan() -> HedgingStateMachine.Step { note("drainBegan") { $0.drainBegan() } }

    @discardableResult
    func cancelled() -> HedgingStateMachine.Step { note("cancelled") { $0.cancelled() } }

    @discardableResult
    func ended(_ attempt: Int, _ ending: HedgingStateMachine.Ending) -> HedgingStateMachine.Step {
        note("attemptEnded") { $0.attemptEnded(attempt, ending) }
    }

    private func note(
        _ input: String, _ change: (inout HedgingStateMachine) -> HedgingStateMachine.Step
    ) -> HedgingStateMachine.Step {
        let state = "\(machine.state)"
        let step = change(&machine)
        // An input that changes nothing has no row.
        if step != .nothing || state != "\(machine.state)" {
            transitions.insert(
                DrivenCall.Transition(state: state, input: input, step: step.name, next: "\(machine.state)"))
        }
        return step
    }
}

/// An instant in milliseconds.
func at(_ milliseconds: Int) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: Int64(milliseconds) * 1_000_000)
}

extension AttemptSet {
    init(_ attempts: some Sequence<Int>) {
        self.init()
        for attempt in attempts { insert(attempt) }
    }
}

extension HedgingStateMachine.Step {
    /// Its name in the machine's table.
    var name: String {
        switch self {
        case .start: "start"
        case .arm: "arm"
        case .withdraw: "withdraw"
        case .keep: "keep"
        case .drop: "drop"
        case .finish: "finish"
        case .nothing: "nothing"
        }
    }

    /// The rows of the table in the machine's documentation.
    static func documented() throws -> Set<DrivenCall.Transition> {
        var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let source = try String(
            contentsOf: root.appendingPathComponent("Sources/BowlineCall/Hedging/HedgingStateMachine.swift"),
            encoding: .utf8)
        let rows = source.split(separator: "\n").filter { $0.hasPrefix("/// | ") }.dropFirst()
        return Set(
            rows.map { row in
                let cells = row.dropFirst("/// |".count).split(separator: "|").map {
                    $0.trimmingCharacters(in: .whitespaces)
                }
                return DrivenCall.Transition(state: cells[0], input: cells[1], step: cells[2], next: cells[3])
            })
    }
}

/// The rules of a round in other words: a list of what has happened.
struct HedgingModel {
    let delay: Int
    let maximumHedges: Int
    let deadline: Int?
    var hasBegun = false
    var started = 0
    var running: Set<Int> = []
    /// The outcomes from the least information to the most; the last of them counts.
    var ended: [(attempt: Int, ending: HedgingStateMachine.Ending)] = []
    /// No further hedge begins: the budget refused one, a drain has begun, or the last timer was not set.
    var isTimerSet = false
    var asks = false
    var isCancelled = false
    var winner: Int?

    private func nextHedge(_ now: Int) -> MonotonicInstant? {
        now + delay < deadline ?? .max ? at(now + delay) : nil
    }

    private mutating func start(_ now: Int) -> HedgingStateMachine.Step {
        started += 1
        running.insert(started)
        let next = started < 1 + maximumHedges ? nextHedge(now) : nil
        isTimerSet = next != nil
        return .start(started, nextHedge: next)
    }

    mutating func begin(_ now: Int) -> HedgingStateMachine.Step {
        if hasBegun { return .nothing }
        hasBegun = true
        return start(now)
    }

    mutating func delayPassed(_ now: Int, isWaiting: Bool) -> HedgingStateMachine.Step {
        guard isTimerSet, !asks, !isCancelled, winner == nil else { return .nothing }
        if let deadline, now >= deadline {
            isTimerSet = false
            return .nothing
        }
        if !isWaiting {
            asks = true
            return .withdraw
        }
        let next = nextHedge(now)
        isTimerSet = next != nil
        return next.map { .arm($0) } ?? .nothing
    }

    mutating func budget(grants: Bool, _ now: Int) -> HedgingStateMachine.Step {
        guard asks else { return .nothing }
        asks = false
        isTimerSet = false
        return grants ? start(now) : .nothing
    }

    mutating func drain() { if !asks, !isCancelled { isTimerSet = false } }

    mutating func cancel() { if hasBegun, !asks, winner == nil { isCancelled = true } }

    mutating func end(_ attempt: Int, _ ending: HedgingStateMachine.Ending) -> HedgingStateMachine.Step {
        guard winner == nil, running.remove(attempt) != nil else { return .drop }
        if ending == .acceptable {
            winner = attempt
            return .finish(attempt, cancel: AttemptSet(running))
        }
        let best = ended.last
        let isBest = best.map { !Self.hasMore($0.ending, than: ending, isCancelled) } ?? true
        if isBest { ended.append((attempt, ending)) }
        if running.isEmpty, let last = ended.last {
            winner = last.attempt
            return .finish(last.attempt, cancel: AttemptSet())
        }
        return isBest ? .keep : .drop
    }

    /// Whether the left outcome has more information.
    private static func hasMore(
        _ left: HedgingStateMachine.Ending, than right: HedgingStateMachine.Ending, _ isCancelled: Bool
    ) -> Bool {
        let failures = RequestProgress.allCases.map { HedgingStateMachine.Ending.failed($0) }
        var order = [HedgingStateMachine.Ending.unadmitted] + failures + [.retryable]
        order.insert(.ended(wasSent: false), at: isCancelled ? order.endIndex : 0)
        return order.firstIndex(of: left) ?? 0 > order.firstIndex(of: right) ?? 0
    }
}
