import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The exchange's machine")
struct ExchangeMachineTests {
    typealias Machine = ExchangeStateMachine<Int, Int>
    struct Failure: Error {}

    @Test("a whole response resumes the head's waiter, once")
    func whole() {
        var machine = Machine(bufferLimit: 10)
        guard case .start = machine.begin(1) else {
            Issue.record("did not start")
            return
        }
        let result1 = machine.receivedWhole()
        #expect(result1 == 1)
        let result2 = machine.receivedWhole()
        #expect(result2 == nil)
        let result3 = machine.fail(Failure()).head
        #expect(result3 == nil)
        let result4 = machine.giveUp(Failure()).isActive
        #expect(!result4)
    }

    @Test("what was cancelled before it began does not start")
    func cancelledEarly() {
        var machine = Machine(bufferLimit: 10)
        let result5 = machine.giveUp(CancellationError()).isActive
        #expect(!result5)
        guard case .failed(let error) = machine.begin(1) else {
            Issue.record("started")
            return
        }
        #expect(error is CancellationError)
    }

    @Test("reading pauses at the limit and goes on at half of it")
    func backPressure() {
        // Each chunk costs its bytes and 256 more.
        var machine = Machine(bufferLimit: 522)
        _ = machine.begin(1)
        let result6 = machine.receivedHead(first: Self.bytes(4))?.shouldPause
        #expect(result6 == false)
        guard case .stored(shouldPause: true) = machine.received(Self.bytes(6)) else {
            Issue.record("does not pause at 10")
            return
        }
        guard case .chunk(_, shouldResume: false, _) = machine.next(nil) else {
            Issue.record("resumes at 6")
            return
        }
        guard case .chunk(_, shouldResume: true, _) = machine.next(nil) else {
            Issue.record("does not resume at 0")
            return
        }
    }

    @Test("a second reader is refused while one waits")
    func twoReaders() {
        var machine = Machine(bufferLimit: 10)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: nil)
        guard case .wait = machine.next(7) else {
            Issue.record("does not wait")
            return
        }
        guard case .failed = machine.next(8) else {
            Issue.record("second reader is let in")
            return
        }
        guard case .deliver(7) = machine.received(Self.bytes(1)) else {
            Issue.record("the first reader is lost")
            return
        }
    }

    @Test("what has arrived whole stays readable after a failure")
    func failureAfterCompletion() {
        var machine = Machine(bufferLimit: 10)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: Self.bytes(3))
        _ = machine.completed(trailers: nil)
        let result7 = machine.fail(Failure()).chunk
        #expect(result7 == nil)
        guard case .chunk(let chunk, _, _) = machine.next(nil) else {
            Issue.record("lost the chunk")
            return
        }
        #expect(chunk.readableBytes == 3)
        guard case .end = machine.next(nil) else {
            Issue.record("does not end")
            return
        }
    }

    @Test("a seeded walk: every waiter is resumed exactly once, no byte is lost or doubled")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<2_000 {
            var machine = Machine(bufferLimit: 8)
            var waiting: Set<Int> = []
            var nextWaiter = 0
            var received = 0
            var delivered = 0
            var isOver = false
            func resumed(_ waiter: Int?) {
                guard let waiter else { return }
                #expect(waiting.remove(waiter) != nil, "waiter \(waiter) was resumed twice")
            }
            nextWaiter += 1
            waiting.insert(nextWaiter)
            if case .failed = machine.begin(nextWaiter) { waiting.remove(nextWaiter) }
            for _ in 0..<30 {
                switch random.next(in: 0..<9) {
                case 0: resumed(machine.receivedHead(first: nil)?.waiter)
                case 1, 2, 3:
                    let count = random.next(in: 1..<5)
                    switch machine.received(Self.bytes(count)) {
                    case .deliver(let waiter):
                        resumed(waiter)
                        received += count
                        delivered += count
                    case .stored: received += count
                    case .ignored: break
                    }
                case 4, 5, 6:
                    nextWaiter += 1
                    switch machine.next(nextWaiter) {
                    case .chunk(let chunk, _, _): delivered += chunk.readableBytes
                    case .wait: waiting.insert(nextWaiter)
                    case .end, .failed: break
                    }
                case 7 where random.next(in: 0..<4) == 0:
                    resumed(machine.completed(trailers: nil).chunk)
                case 8 where random.next(in: 0..<6) == 0:
                    let ending = random.nextBool() ? machine.fail(Failure()) : machine.giveUp(Failure()).ending
                    resumed(ending.head)
                    resumed(ending.chunk)
                    isOver = machine.isOver
                default: break
                }
                #expect(delivered <= received)
                if isOver { #expect(waiting.isEmpty, "somebody waits for an exchange that is over") }
            }
            let ending = machine.giveUp(Failure()).ending
            resumed(ending.head)
            resumed(ending.chunk)
            #expect(waiting.isEmpty)
        }
    }

    private static func bytes(_ count: Int) -> ByteBuffer {
        ByteBuffer(repeating: 0x61, count: count)
    }
}
