import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The exchange's machine")
struct ExchangeMachineTests {
    typealias Machine = ExchangeStateMachine<Int, Int>
    struct Failure: Error {}

    @Test("A whole response resumes the head's waiter once")
    func whole() {
        var machine = Machine(bufferLimit: 10)
        guard case .start = machine.begin(1) else {
            Issue.record("did not start")
            return
        }
        let resumed = machine.receivedWhole()
        #expect(resumed == 1)
        let resumedAgain = machine.receivedWhole()
        #expect(resumedAgain == nil)
        let resumedByFailure = machine.fail(Failure()).head
        #expect(resumedByFailure == nil)
        let isActive = machine.giveUp(Failure()).isActive
        #expect(!isActive)
    }

    @Test("An exchange that was cancelled before it began does not start")
    func cancelledEarly() {
        var machine = Machine(bufferLimit: 10)
        let isActive = machine.giveUp(CancellationError()).isActive
        #expect(!isActive)
        guard case .failed(let error) = machine.begin(1) else {
            Issue.record("started")
            return
        }
        #expect(error is CancellationError)
    }

    @Test("Reading pauses at the limit and resumes at half of it")
    func backPressure() {
        // Each chunk costs its bytes and 256 more. These are too large to be joined.
        var machine = Machine(bufferLimit: 4512)
        _ = machine.begin(1)
        let pausesAtTheHead = machine.receivedHead(first: Self.bytes(1500))?.shouldPause
        #expect(pausesAtTheHead == false)
        guard case .stored(shouldPause: true) = machine.received(Self.bytes(2500)) else {
            Issue.record("does not pause at 4512")
            return
        }
        guard case .chunk(_, shouldResume: false, _) = machine.next(nil) else {
            Issue.record("resumes at 2756")
            return
        }
        guard case .chunk(_, shouldResume: true, _) = machine.next(nil) else {
            Issue.record("does not resume at 0")
            return
        }
    }

    @Test("reading pauses at the limit and resumes when the joined chunks have been taken")
    func backPressureOfTinyChunks() {
        var machine = Machine(bufferLimit: 65_536)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: Self.bytes(1))
        var count = 1
        while case .stored(shouldPause: false) = machine.received(Self.bytes(1)) { count += 1 }
        // A block costs its bytes and 256 more; a block has up to 32 KiB.
        #expect((60_000..<65_536).contains(count))
        var resumed: [Int] = []
        var taken = 0
        while case .chunk(let chunk, let shouldResume, _) = machine.next(nil) {
            taken += chunk.readableBytes
            if shouldResume { resumed.append(taken) }
        }
        #expect(resumed.count == 1)
        #expect(taken == count + 1)
    }

    @Test("A window of 256 KiB in pieces of one byte takes little more memory, and is read unchanged")
    func tinyChunks() {
        var machine = Machine(bufferLimit: 65_536)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: nil)
        // Each piece is memory of its own.
        for index in 0..<(1 << 18) { _ = machine.received(ByteBuffer(integer: UInt8(truncatingIfNeeded: index))) }
        let waiting = machine.waiting
        #expect(waiting.chunks <= 33)
        #expect(waiting.retainedBytes <= 3 << 18)
        var index = 0
        while case .chunk(let chunk, _, _) = machine.next(nil) {
            #expect(chunk == Self.numbered(index, chunk.readableBytes))
            index += chunk.readableBytes
        }
        #expect(index == 1 << 18)
    }

    @Test("Bytes that the reader has taken are counted, also bytes that never waited")
    func takenBytes() {
        var machine = Machine(bufferLimit: 65_536)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: Self.bytes(1500), step: 6000)
        _ = machine.received(Self.bytes(2000))
        let waiting = machine.takeTaken()
        #expect(waiting.count == 0, "nothing was read")
        #expect(!waiting.isPaused, "nothing was read")
        guard case .chunk(_, shouldResume: false, _) = machine.next(nil),
            case .chunk(_, shouldResume: false, _) = machine.next(nil)
        else {
            Issue.record("the connection is informed before the reader has taken a step's bytes")
            return
        }
        guard case .wait = machine.next(7), case .deliver(7) = machine.received(Self.bytes(100)) else {
            Issue.record("not delivered")
            return
        }
        let taken = machine.takeTaken()
        #expect(taken.count == 3600)
        let again = machine.takeTaken()
        #expect(again.count == 0)
    }

    @Test("A reader that is behind by a step pauses the exchange, and the connection learns when it has caught up")
    func takenSteps() {
        var machine = Machine(bufferLimit: 65_536)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: nil, step: 6000)
        guard case .stored(shouldPause: false) = machine.received(Self.bytes(3000)),
            case .stored(shouldPause: true) = machine.received(Self.bytes(3000))
        else {
            Issue.record("not behind with a step waiting")
            return
        }
        let behind = machine.takeTaken()
        #expect(behind.count == 0)
        #expect(behind.isPaused)
        guard case .chunk(_, shouldResume: false, _) = machine.next(nil),
            case .chunk(_, shouldResume: true, _) = machine.next(nil)
        else {
            Issue.record("the connection is not informed when the reader has caught up")
            return
        }
        let last = machine.takeTaken()
        #expect(last.count == 6000)
        #expect(!last.isPaused)
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

    @Test("The reader of a body that is cut off gets the received bytes first, and then the error")
    func cutOff() {
        var machine = Machine(bufferLimit: 10)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: Self.bytes(3))
        let isClaimed = machine.claim()
        let ending = machine.fail(Failure(), isCutOff: true)
        #expect(isClaimed)
        #expect(ending.cutsBody)
        #expect(ending.chunk == nil)
        let (isOver, waiting) = (machine.isOver, machine.waiting.chunks)
        #expect(isOver)
        #expect(waiting == 1)
        let again = machine.fail(Failure())
        let isClaimedAgain = machine.claim()
        #expect(!again.cutsBody)
        #expect(!isClaimedAgain)
        guard case .ignored = machine.received(Self.bytes(2)), case .chunk(let chunk, false, nil) = machine.next(nil)
        else {
            Issue.record("what had arrived is lost")
            return
        }
        #expect(chunk.readableBytes == 3)
        for _ in 1...2 {
            guard case .failed = machine.next(nil) else {
                Issue.record("the error is lost")
                return
            }
        }
    }

    @Test("A body that is cut off while its reader waits, or abandoned afterwards, keeps no bytes")
    func cutOffWithoutChunks() {
        var waiting = Machine(bufferLimit: 10)
        _ = waiting.begin(1)
        _ = waiting.receivedHead(first: nil)
        _ = waiting.next(7)
        let waiter = waiting.fail(Failure(), isCutOff: true).chunk
        #expect(waiter == 7)
        guard case .failed = waiting.next(8) else {
            Issue.record("the error is lost")
            return
        }
        var given = Machine(bufferLimit: 10)
        _ = given.begin(1)
        _ = given.receivedHead(first: Self.bytes(3))
        _ = given.fail(Failure(), isCutOff: true)
        let gaveUp = given.giveUp(Failure())
        let kept = given.waiting.chunks
        #expect(!gaveUp.isActive)
        #expect(kept == 0)
        guard case .failed = given.next(nil) else {
            Issue.record("what was given up is read")
            return
        }
    }

    @Test("A failure that does not cut the body off leaves nothing to read")
    func failureDropsChunks() {
        var machine = Machine(bufferLimit: 10)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: Self.bytes(3))
        _ = machine.fail(Failure())
        guard case .failed = machine.next(nil) else {
            Issue.record("a chunk is read behind a deadline")
            return
        }
    }

    @Test("A body that has arrived completely stays readable after a failure")
    func failureAfterCompletion() {
        var machine = Machine(bufferLimit: 10)
        _ = machine.begin(1)
        _ = machine.receivedHead(first: Self.bytes(3))
        _ = machine.completed(trailers: nil)
        let resumedByFailure = machine.fail(Failure()).chunk
        #expect(resumedByFailure == nil)
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
            var machine = Machine(bufferLimit: 3000)
            var waiting: Set<Int> = []
            var nextWaiter = 0
            var received = 0
            var delivered = 0
            var isOver = false
            /// The bytes of the body are numbered, so that a reader sees one that is missing, doubled or out of place.
            func expectNext(_ chunk: ByteBuffer) {
                #expect(chunk == Self.numbered(delivered, chunk.readableBytes))
                delivered += chunk.readableBytes
            }
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
                    let count = random.next(in: 0..<4) == 0 ? 1500 : random.next(in: 1..<5)
                    let chunk = Self.numbered(received, count)
                    switch machine.received(chunk) {
                    case .deliver(let waiter):
                        resumed(waiter)
                        received += count
                        expectNext(chunk)
                    case .stored: received += count
                    case .ignored: break
                    }
                case 4, 5, 6:
                    nextWaiter += 1
                    switch machine.next(nextWaiter) {
                    case .chunk(let chunk, _, _): expectNext(chunk)
                    case .wait: waiting.insert(nextWaiter)
                    case .end, .failed: break
                    }
                case 7 where random.next(in: 0..<4) == 0:
                    resumed(machine.completed(trailers: nil).chunk)
                case 8 where random.next(in: 0..<6) == 0:
                    let ending =
                        random.nextBool()
                        ? machine.fail(Failure(), isCutOff: random.nextBool()) : machine.giveUp(Failure()).ending
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

    /// The bytes of a body from an offset; each byte is its own offset.
    private static func numbered(_ start: Int, _ count: Int) -> ByteBuffer {
        let bytes = numbers.getSlice(at: start & 255, length: count) ?? ByteBuffer()
        return ByteBuffer(bytes: bytes.readableBytesView)
    }

    private static let numbers = ByteBuffer(bytes: (0..<33_024).map { UInt8(truncatingIfNeeded: $0) })

    private static func bytes(_ count: Int) -> ByteBuffer {
        ByteBuffer(repeating: 0x61, count: count)
    }
}
