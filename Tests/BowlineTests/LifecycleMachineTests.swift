import BowlineCore
import BowlineTesting
import Testing

@testable import Bowline

@Suite("The lifecycle's state machine")
struct LifecycleMachineTests {
    @Test("An earlier deadline moves the drain's deadline, a later one does not")
    func deadlines() {
        var machine = LifecycleStateMachine()
        let isAdmitted = machine.admit(CallRecord())
        #expect(isAdmitted)
        let first = machine.beginDrain(deadline: Self.instant(10))
        #expect(first == .begin)
        let withLaterDeadline = machine.beginDrain(deadline: Self.instant(20))
        #expect(withLaterDeadline == .join)
        let drainUntilFirst = machine.drain(now: Self.instant(0))
        #expect(drainUntilFirst == .wait(until: Self.instant(10)))
        let withEarlierDeadline = machine.beginDrain(deadline: Self.instant(5))
        #expect(withEarlierDeadline == .joinEarlier)
        let drainUntilEarlier = machine.drain(now: Self.instant(0))
        #expect(drainUntilEarlier == .wait(until: Self.instant(5)))
        let drainAtDeadline = machine.drain(now: Self.instant(5))
        #expect(drainAtDeadline == .close)
    }

    @Test("No call is admitted once a drain has begun", .tags(.LC4))
    func admission() {
        var machine = LifecycleStateMachine()
        _ = machine.beginDrain(deadline: Self.instant(10))
        let isAdmittedWhileDraining = machine.admit(CallRecord())
        #expect(!isAdmittedWhileDraining)
        let inFlight = machine.inFlight
        #expect(inFlight == 0)
        let drain = machine.drain(now: Self.instant(0))
        #expect(drain == .close)
        let hasNothingToCut = machine.beginClosing().isEmpty
        #expect(hasNothingToCut)
        let isAdmittedWhileClosing = machine.admit(CallRecord())
        #expect(!isAdmittedWhileClosing)
        machine.closed()
        let isAdmittedAfterClose = machine.admit(CallRecord())
        #expect(!isAdmittedAfterClose)
        let drainAfterClose = machine.beginDrain(deadline: Self.instant(1))
        #expect(drainAfterClose == .join)
    }

    @Test("A seeded walk: calls in flight are those admitted and not ended, a call that ends twice counts once")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<500 {
            var machine = LifecycleStateMachine()
            var live: [CallRecord] = []
            var ended: [CallRecord] = []
            var drained = 0
            var isDraining = false
            for step in 0..<100 {
                switch random.next(in: 0..<10) {
                case 0..<5:
                    let call = CallRecord(method: "GET", target: "\(step)")
                    let isAdmitted = machine.admit(call)
                    #expect(isAdmitted == !isDraining)
                    if !isDraining { live.append(call) }
                case 5..<8 where !live.isEmpty:
                    let call = live.remove(at: random.next(in: 0..<live.count))
                    _ = machine.ended(call)
                    ended.append(call)
                    if isDraining { drained += 1 }
                case 8 where !ended.isEmpty:
                    _ = machine.ended(ended[random.next(in: 0..<ended.count)])
                case 9 where step > 60:
                    _ = machine.beginDrain(deadline: Self.instant(1000))
                    isDraining = true
                default: break
                }
                let inFlight = machine.inFlight
                #expect(inFlight == live.count)
                let countedAsDrained = machine.drained
                #expect(countedAsDrained == drained)
            }
            let left = machine.beginClosing().map(\.target)
            #expect(Set(left) == Set(live.map(\.target)))
        }
    }

    private static func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }
}
