import BowlineCore

@testable import BowlineCall

/// The inputs of a ticket's table.
enum TicketInput: String, CaseIterable {
    case enterWithRoom, enterAtLimit, enterTooLate, enterFullQueue
    case otherLeft, otherLeftTooLate, higherPriorityEntered, waitEnded, left
}

/// How full the gate of the second table is.
enum Occupancy: CaseIterable {
    case free, atLimit, waiting, halfFull, fullOfSheddable, fullOfNormal, fullOfCritical
}

/// A concurrency gate with a clock.
final class DrivenLimit {
    typealias Ticket = ConcurrencyStateMachine.Ticket

    var machine: ConcurrencyStateMachine
    var options = ConcurrencyOptions()
    var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    init(_ limit: ConcurrencyOptions.Limit) {
        options.limit = limit
        machine = ConcurrencyStateMachine(options)
    }

    func advance(by duration: Duration) { now = now.advanced(by: duration) }

    func entry(
        _ ticket: Ticket, _ priority: RequestPriority = .normal, deadline: MonotonicInstant? = nil
    ) -> ConcurrencyEntry {
        machine.enter(ticket, priority: priority, at: now, deadline: deadline, options)
    }

    func enter(
        _ ticket: Ticket, _ priority: RequestPriority = .normal, deadline: MonotonicInstant? = nil
    ) -> ConcurrencyEntry.Decision {
        entry(ticket, priority, deadline: deadline).decision
    }

    func left(_ sample: ConcurrencySample = .ignored) -> ConcurrencyRelease { machine.left(sample, at: now) }

    func waitEnded(_ ticket: Ticket) -> Bool { machine.waitEnded(ticket, at: now) }

    // MARK: The tables

    /// The transitions of ticket 1 for one input, in each state in which it can happen.
    static func made(_ input: TicketInput) -> [DocumentedTransition] {
        func row(_ state: String, _ result: String, _ next: String) -> DocumentedTransition {
            DocumentedTransition(state: state, input: input.rawValue, result: result, next: next)
        }
        let gate = DrivenLimit(.fixed(1))
        gate.options.maximumWaiting = 1
        switch input {
        case .enterWithRoom:
            guard case .admitted = gate.enter(1) else { return [] }
            return [row("new", "admitted", gate.stateOfTicket1())]
        case .enterAtLimit:
            _ = gate.enter(0)
            guard case .waits = gate.enter(1) else { return [] }
            return [row("new", "waits", gate.stateOfTicket1())]
        case .enterTooLate, .enterFullQueue:
            _ = gate.enter(0)
            if input == .enterFullQueue { _ = gate.enter(2) }
            let deadline = input == .enterTooLate ? gate.now : nil
            guard case .refused = gate.enter(1, deadline: deadline) else { return [] }
            gate.empty(but: 1)
            return [row("new", "refused", gate.stateOfTicket1())]
        case .otherLeft, .otherLeftTooLate, .higherPriorityEntered:
            _ = gate.enter(0)
            _ = gate.enter(1)
            if input == .higherPriorityEntered {
                let displaced = gate.entry(2, .critical).displaced
                gate.empty(but: 1)
                return [row("waiting", displaced == 1 ? "displaced" : "nothing", gate.stateOfTicket1())]
            }
            if input == .otherLeftTooLate { gate.advance(by: .seconds(1)) }
            let release = gate.left()
            let result = release.admitted == [1] ? "admitted" : release.expired == [1] ? "expired" : "nothing"
            return [row("waiting", result, gate.stateOfTicket1())]
        case .waitEnded:
            _ = gate.enter(0)
            _ = gate.enter(1)
            let first = gate.waitEnded(1)
            gate.empty(but: 1)
            var rows = [row("waiting", "\(first)", gate.stateOfTicket1())]
            rows.append(row("ended", "\(gate.waitEnded(1))", gate.stateOfTicket1()))
            _ = gate.enter(1)
            rows.append(row("inFlight", "\(gate.waitEnded(1))", gate.stateOfTicket1()))
            return rows
        case .left:
            _ = gate.enter(1)
            let release = gate.left()
            return [row("inFlight", release == ConcurrencyRelease() ? "nothing" : "released", gate.stateOfTicket1())]
        }
    }

    /// Ends all attempts but the one with this ticket, which is not in flight.
    private func empty(but ticket: Ticket) {
        for other in [0, 2] as [Ticket] where other != ticket { _ = waitEnded(other) }
        while machine.inFlight > 0 { _ = left() }
    }

    /// The state of ticket 1, if at most one other attempt is in flight.
    private func stateOfTicket1() -> String {
        if machine.waiting > 0 { return "waiting" }
        return machine.inFlight > 0 ? "inFlight" : "ended"
    }

    /// What the gate does with an attempt.
    static func result(at occupancy: Occupancy, _ priority: RequestPriority) -> String {
        let gate = DrivenLimit(.fixed(1))
        gate.options.maximumWaiting = 4
        let (inFlight, waiting): (Int, [RequestPriority]) =
            switch occupancy {
            case .free: (0, [])
            case .atLimit: (1, [])
            case .waiting: (1, [.normal])
            case .halfFull: (1, [.normal, .normal])
            case .fullOfSheddable: (1, [.sheddable, .sheddable, .normal, .critical])
            case .fullOfNormal: (1, [.normal, .normal, .normal, .critical])
            case .fullOfCritical: (1, [.critical, .critical, .critical, .critical])
            }
        for ticket in 0..<inFlight { _ = gate.enter(Ticket(ticket)) }
        for (ticket, priority) in waiting.enumerated() { _ = gate.enter(Ticket(10 + ticket), priority) }
        let entry = gate.entry(100, priority)
        switch entry.decision {
        case .admitted: return "admitted"
        case .waits: return entry.displaced == nil ? "waits" : "displaces"
        case .refused(let reason, _): return reason.rawValue
        }
    }
}
