import BowlineCore
import BowlineTesting
import Testing

@testable import Bowline

@Suite("The lifecycle's machine")
struct LifecycleMachineTests {
    @Test("an earlier deadline moves the drain, a later one does not")
    func deadlines() {
        var machine = LifecycleStateMachine()
        let result1 = machine.admit(CallRecord())
        #expect(result1)
        let result2 = machine.beginDrain(deadline: Self.instant(10))
        #expect(result2 == .begin)
        let result3 = machine.beginDrain(deadline: Self.instant(20))
        #expect(result3 == .join)
        let result4 = machine.drain(now: Self.instant(0))
        #expect(result4 == .wait(until: Self.instant(10)))
        let result5 = machine.beginDrain(deadline: Self.instant(5))
        #expect(result5 == .joinEarlier)
        let result6 = machine.drain(now: Self.instant(0))
        #expect(result6 == .wait(until: Self.instant(5)))
        let result7 = machine.drain(now: Self.instant(5))
        #expect(result7 == .close)
    }

    @Test("nothing is admitted from the flip on", .tags(.LC4))
    func admission() {
        var machine = LifecycleStateMachine()
        _ = machine.beginDrain(deadline: Self.instant(10))
        let result8 = machine.admit(CallRecord())
        #expect(!result8)
        let result9 = machine.inFlight
        #expect(result9 == 0)
        let result10 = machine.drain(now: Self.instant(0))
        #expect(result10 == .close)
        let result11 = machine.beginClosing().isEmpty
        #expect(result11)
        let result12 = machine.admit(CallRecord())
        #expect(!result12)
        machine.closed()
        let result13 = machine.admit(CallRecord())
        #expect(!result13)
        let result14 = machine.beginDrain(deadline: Self.instant(1))
        #expect(result14 == .join)
    }

    @Test("a seeded walk: calls in flight are those admitted and not ended, a call that ends twice counts once")
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
                    let result15 = machine.admit(call)
                    #expect(result15 == !isDraining)
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
                let result16 = machine.inFlight
                #expect(result16 == live.count)
                let result17 = machine.drained
                #expect(result17 == drained)
            }
            let left = machine.beginClosing().map(\.target)
            #expect(Set(left) == Set(live.map(\.target)))
        }
    }

    private static func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }
}
