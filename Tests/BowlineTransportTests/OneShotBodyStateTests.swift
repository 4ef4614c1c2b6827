import BowlineTesting
import NIOCore
import Testing

@testable import BowlineCore

@Suite("Replay and pulls of a one-shot body")
struct OneShotBodyStateTests {
    typealias State = OneShotBodyState<Int, String>

    @Test("A pull whose task becomes known after the next pull has begun does not replace the next pull's task")
    func lateTask() throws {
        var state = State()
        let hasBegun = state.beginReading(replayLimit: 10)
        #expect(hasBegun)
        guard case .waiting(pull: 1?, superseded: nil) = state.wait(1, number: 1, at: .init(), isCancelled: false)
        else {
            Issue.record("no pull begins")
            return
        }
        // The first pull delivers its chunk before the thread that started it has reported the task.
        let pulled = state.pulled(ByteBuffer(string: "a"))
        let first = try #require(pulled)
        #expect(first.waiter == 1)
        let place = try #require(Self.bytes(first.step)?.next)
        guard case .waiting(pull: 2?, superseded: nil) = state.wait(2, number: 2, at: place, isCancelled: false) else {
            Issue.record("no second pull begins")
            return
        }
        let isSecondCancelled = state.pullStarted(2, "second")
        let isFirstCancelled = state.pullStarted(1, "first")
        #expect(!isSecondCancelled)
        #expect(!isFirstCancelled)
        let abandoned = state.abandon()
        #expect(abandoned.pull == "second")
        #expect(abandoned.waiter == 2)
    }

    @Test("A body that is abandoned before its pull's task is known cancels the task when it is")
    func abandonedBeforeTask() {
        var state = State()
        _ = state.beginReading(replayLimit: 10)
        _ = state.wait(1, number: 1, at: .init(), isCancelled: false)
        let abandoned = state.abandon()
        #expect(abandoned.pull == nil)
        let isCancelled = state.pullStarted(1, "task")
        #expect(isCancelled)
        let delivery = state.pulled(ByteBuffer(string: "late"))
        #expect(delivery?.waiter == nil)
        #expect(state.keptChunks == 0)
    }

    @Test("A reader whose place was dropped fails and does not get the remaining bytes")
    func droppedPlace() throws {
        var state = State()
        let hasBegun = state.beginReading(replayLimit: 10)
        #expect(hasBegun)
        _ = state.pulled(ByteBuffer(string: "ab"))
        state.commit()
        guard case .chunk(let first, _) = state.read(at: .init()) else {
            Issue.record("the first chunk is not there")
            return
        }
        #expect(first == ByteBuffer(string: "ab"))
        _ = state.pulled(ByteBuffer(string: "cd"))
        guard case .failed(let error) = state.read(at: .init()) else {
            Issue.record("a reader gets the stream without its beginning")
            return
        }
        #expect((error as? ServiceError)?.code == .requestBodyConsumed)
    }

    @Test("A wait that was cancelled before it began does not begin")
    func cancelledBefore() {
        var state = State()
        _ = state.beginReading(replayLimit: 10)
        guard case .answered(.failed(let error)) = state.wait(1, number: 1, at: .init(), isCancelled: true) else {
            Issue.record("waits")
            return
        }
        #expect(error is CancellationError)
        let delivery = state.pulled(ByteBuffer(string: "a"))
        #expect(delivery?.waiter == nil)
    }

    @Test("16 KiB in chunks of one byte take little more memory, and are read again unchanged")
    func tinyChunks() throws {
        var state = State()
        _ = state.beginReading(replayLimit: 16_384)
        var place = OneShotPosition()
        for index in 0..<16_384 {
            guard
                case .waiting(pull: .some, superseded: nil) = state.wait(
                    0, number: index, at: place, isCancelled: false)
            else {
                Issue.record("no pull at \(index)")
                return
            }
            let pulled = state.pulled(ByteBuffer(integer: UInt8(truncatingIfNeeded: index &* 7)))
            let delivery = try #require(pulled)
            let (bytes, next) = try #require(Self.bytes(delivery.step))
            #expect(bytes == [UInt8(truncatingIfNeeded: index &* 7)])
            place = next
        }
        #expect(state.isReplayable)
        #expect(state.keptChunks <= 4)
        #expect(state.retainedBytes <= 50_000)
        let beginsAgain = state.beginReading(replayLimit: 16_384)
        #expect(beginsAgain)
        var again: [UInt8] = []
        place = OneShotPosition()
        while let (bytes, next) = Self.bytes(state.read(at: place)) {
            again += bytes
            place = next
        }
        #expect(again == (0..<16_384).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    }

    @Test("A seeded walk: each reader gets the stream's bytes from the first one on, until replay is given up")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<200 {
            var state = State()
            var stream: [UInt8] = []
            var readers: [(place: OneShotPosition, read: Int)] = []
            let limit = random.next(in: 0..<8000)
            var isCommitted = false
            var number = 0
            for _ in 0..<60 {
                switch random.next(in: 0..<8) {
                case 0:
                    let isAllowed = state.beginReading(replayLimit: limit)
                    #expect(isAllowed == (!isCommitted || readers.isEmpty))
                    if isAllowed { readers.append((OneShotPosition(), 0)) }
                case 1 where random.next(in: 0..<6) == 0:
                    state.commit()
                    isCommitted = true
                default:
                    guard var reader = readers.popLast() else { continue }
                    number += 1
                    switch state.wait(number, number: number, at: reader.place, isCancelled: false) {
                    case .answered(let step):
                        let (bytes, next) = try #require(Self.bytes(step))
                        #expect(Array(stream[reader.read..<(reader.read + bytes.count)]) == bytes)
                        reader = (next, reader.read + bytes.count)
                    case .waiting(let pull, let superseded):
                        #expect(superseded == nil)
                        #expect(reader.read == stream.count, "waits though there is more")
                        let size = [1, 3, 1500][random.next(in: 0..<3)]
                        let chunk = (0..<size).map { UInt8(truncatingIfNeeded: stream.count &+ $0) }
                        stream += chunk
                        if pull != nil { _ = state.pullStarted(pull ?? 0, "task") }
                        // The attempt may have ended while the pull was in flight.
                        if random.next(in: 0..<5) == 0 {
                            let waiter = state.stopWaiting(number)
                            #expect(waiter == number)
                            let delivery = state.pulled(ByteBuffer(bytes: chunk))
                            #expect(delivery?.waiter == nil)
                        } else {
                            let pulled = state.pulled(ByteBuffer(bytes: chunk))
                            let delivery = try #require(pulled)
                            let (bytes, next) = try #require(Self.bytes(delivery.step))
                            #expect(delivery.waiter == number)
                            #expect(bytes == chunk)
                            reader = (next, reader.read + bytes.count)
                        }
                        if stream.count > limit { isCommitted = isCommitted || !state.isReplayable }
                    }
                    readers.append(reader)
                }
            }
        }
    }

    private static func bytes(_ step: State.Step) -> (bytes: [UInt8], next: OneShotPosition)? {
        guard case .chunk(let chunk, let next) = step else { return nil }
        return (Array(chunk.readableBytesView), next)
    }
}
