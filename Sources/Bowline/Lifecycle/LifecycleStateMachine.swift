internal import BowlineCore
internal import Synchronization

/// The state of a client from running to closed, and the calls in flight.
///
/// | state | admit | call ended | begin drain | begin closing | closed |
/// |---|---|---|---|---|---|
/// | running | counted | removed | draining | – | – |
/// | draining | refused | removed; after the last call the drain ends | an earlier deadline applies | closing | – |
/// | closing | refused | removed | joins | – | closed |
/// | closed | refused | removed | joins | – | – |
struct LifecycleStateMachine: ~Copyable {
    enum State: Sendable, Hashable {
        case running
        case draining(deadline: MonotonicInstant)
        case closing
        case closed
    }

    private(set) var state = State.running
    private var calls: [CallRecord?] = []
    private var freeSlots: [Int] = []
    private(set) var inFlight = 0
    /// The number of calls that ended between the beginning of the drain and its deadline.
    private(set) var drained = 0

    /// Admits a call and counts it. Returns false if the call is refused; then it is not counted.
    mutating func admit(_ call: CallRecord) -> Bool {
        guard state == .running else { return false }
        inFlight += 1
        if let slot = freeSlots.popLast() {
            calls[slot] = call
            call.slot.store(slot, ordering: .relaxed)
        } else {
            call.slot.store(calls.count, ordering: .relaxed)
            calls.append(call)
        }
        return true
    }

    enum Ended {
        case nothing
        /// The client drains: `remaining` calls are still in flight.
        case duringDrain(remaining: Int)
    }

    mutating func ended(_ call: CallRecord) -> Ended {
        let slot = call.slot.load(ordering: .relaxed)
        guard slot >= 0 else { return .nothing }
        call.slot.store(-1, ordering: .relaxed)
        calls[slot] = nil
        freeSlots.append(slot)
        inFlight -= 1
        guard case .draining = state else { return .nothing }
        drained += 1
        return .duringDrain(remaining: inFlight)
    }

    enum BeginDrain: Equatable {
        /// The drain begins: the caller must run it.
        case begin
        /// A drain is under way and its deadline has moved earlier.
        case joinEarlier
        case join
    }

    mutating func beginDrain(deadline: MonotonicInstant) -> BeginDrain {
        switch state {
        case .running:
            state = .draining(deadline: deadline)
            return .begin
        case .draining(let current) where deadline < current:
            state = .draining(deadline: deadline)
            return .joinEarlier
        case .draining, .closing, .closed:
            return .join
        }
    }

    /// A drain's next step.
    enum Drain: Equatable {
        case wait(until: MonotonicInstant)
        /// No call is in flight, or the deadline has passed: close.
        case close
    }

    func drain(now: MonotonicInstant) -> Drain {
        guard case .draining(let deadline) = state, inFlight > 0, deadline > now else { return .close }
        return .wait(until: deadline)
    }

    /// Begins to close. Returns the calls that this cuts off.
    mutating func beginClosing() -> [CallRecord] {
        state = .closing
        return calls.compactMap { $0 }
    }

    mutating func closed() {
        state = .closed
    }
}
