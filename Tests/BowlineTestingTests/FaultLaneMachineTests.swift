import BowlineCore
import NIOCore
import Testing

@testable import BowlineTesting

/// One direction on virtual time: records which bytes pass, and when.
private struct LaneRun {
    static let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    var machine: FaultLaneMachine
    var now = Self.start
    var writes: [String] = []
    /// Milliseconds from the start, one for each write.
    var times: [Int64] = []
    var bytes: [UInt8] = []
    var faults: [FaultEvent] = []
    var end: FaultLaneMachine.SenderEnd?
    var isAbandoned = false

    init(_ configure: (inout FaultLane) -> Void = { _ in }) {
        var lane = FaultLane()
        configure(&lane)
        machine = FaultLaneMachine(lane)
    }

    mutating func send(_ text: String, jitter: Double = 0) {
        machine.received(ByteBuffer(string: text), at: now, jitter: jitter)
    }

    mutating func finish(_ kind: FaultLaneMachine.SenderEnd = .finished) {
        machine.senderEnded(kind, at: now)
    }

    mutating func advance(_ time: Duration) {
        now = now.advanced(by: time)
    }

    /// Performs all steps, and advances to the instant of each wait, until the machine waits for a fact.
    mutating func run() {
        while true {
            switch machine.next(at: now) {
            case .write(let piece):
                writes.append(String(buffer: piece))
                times.append((now.nanoseconds - Self.start.nanoseconds) / 1_000_000)
                bytes += piece.readableBytesView
                machine.wrote(at: now)
            case .fault(let event): faults.append(event)
            case .senderEnded(let kind):
                end = kind
                machine.stop()
            case .abandoned:
                isAbandoned = true
                machine.stop()
            case .wait(until: nil): return
            case .wait(let time?): now = time
            }
        }
    }
}

@Suite("Fault lane machine")
struct FaultLaneMachineTests {
    @Test("Bytes pass as they arrive, and the end follows them")
    func untouched() {
        var run = LaneRun()
        run.send("abc")
        run.send("de")
        run.finish()
        run.run()
        #expect(run.writes == ["abc", "de"])
        #expect(run.times == [0, 0])
        #expect(run.end == .finished)
        #expect(run.machine.position == 5)
    }

    @Test(
        "A slice has at most the configured number of bytes",
        arguments: [
            (1, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]), (3, ["012", "345", "678", "9"]),
            (10, ["0123456789"]), (11, ["0123456789"]), (0, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
            (-5, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        ])
    func slices(size: Int, expected: [String]) {
        var run = LaneRun {
            $0.sliceBytes = size
            $0.sliceGap = .milliseconds(10)
        }
        run.send("0123456789")
        run.run()
        #expect(run.writes == expected)
        #expect(run.times == expected.indices.map { Int64($0) * 10 })
    }

    @Test("a gap without slices is ignored, and negative numbers count as none")
    func outOfRange() {
        var run = LaneRun {
            $0.sliceGap = .seconds(1)
            $0.latency = .seconds(-1)
            $0.jitter = .seconds(-1)
            $0.bytesPerSecond = -1
            $0.events = [
                FaultEvent(at: -3, .pause(.seconds(-1))), FaultEvent(at: -2, .swallow(-1)),
                FaultEvent(at: -1, .duplicate(0)), FaultEvent(at: Int.min, .corrupt(Int.min)),
                FaultEvent(at: Int.max, .cut(.fin)),
            ]
        }
        run.send("ab")
        run.run()
        #expect(run.writes == ["a", "b"])
        #expect(run.times == [1000, 2000])
        #expect(run.faults.map(\.offset) == [0, 0, 0, 0])
    }

    @Test("huge times and numbers do not overflow")
    func huge() {
        var run = LaneRun {
            $0.latency = .seconds(Int64.max)
            $0.jitter = .seconds(Int64.max)
            $0.bytesPerSecond = .max
            $0.sliceBytes = .max
            $0.events = [FaultEvent(at: 0, .swallow(.max)), FaultEvent(at: 0, .pause(.seconds(Int64.max)))]
        }
        run.send("ab", jitter: 1)
        run.finish()
        run.run()
        #expect(run.writes == [])
        #expect(run.end == .finished)
    }

    @Test("An event happens as soon as its byte has passed; events at one offset happen in order")
    func eventOrder() {
        var run = LaneRun {
            $0.events = [
                FaultEvent(at: 5, .cut(.fin)), FaultEvent(at: 2, .pause(.milliseconds(1))),
                FaultEvent(at: 2, .halfClose), FaultEvent(at: 0, .silenceBoth),
            ]
        }
        run.run()
        #expect(run.faults == [FaultEvent(at: 0, .silenceBoth)])
        run.machine.resume(at: run.now)
        run.send("ab")
        run.run()
        #expect(run.writes == ["ab"])
        #expect(run.faults.dropFirst().map(\.kind) == [.pause(.milliseconds(1)), .halfClose])
        run.send("cdef")
        run.run()
        #expect(run.writes == ["ab", "cde", "f"])
        #expect(run.faults.last == FaultEvent(at: 5, .cut(.fin)))
    }

    /// The input is "0123456789". A letter stands for a digit with each bit flipped: "a" for "0", and so on.
    static let damage: [(events: [FaultEvent], expected: String)] = [
        ([FaultEvent(at: 0, .swallow(3))], "3456789"),
        ([FaultEvent(at: 2, .swallow(3))], "0156789"),
        ([FaultEvent(at: 8, .swallow(30))], "01234567"),
        ([FaultEvent(at: 0, .duplicate(3))], "0120123456789"),
        ([FaultEvent(at: 4, .duplicate(2))], "012345456789"),
        ([FaultEvent(at: 8, .duplicate(30))], "012345678989"),
        ([FaultEvent(at: 0, .corrupt(1))], "a123456789"),
        ([FaultEvent(at: 9, .corrupt(9))], "012345678j"),
        ([FaultEvent(at: 1, .corrupt(2)), FaultEvent(at: 1, .duplicate(2))], "0bcbc3456789"),
        ([FaultEvent(at: 0, .duplicate(4)), FaultEvent(at: 2, .swallow(2))], "0101456789"),
        ([FaultEvent(at: 10, .swallow(1))], "0123456789"),
    ]

    @Test("bytes are lost, repeated and changed, however they are cut into pieces", arguments: damage.indices, 1...10)
    func damages(index: Int, size: Int) {
        let (events, expected) = Self.damage[index]
        var run = LaneRun { $0.events = events }
        let text = Array("0123456789")
        for first in stride(from: 0, to: text.count, by: size) {
            run.send(String(text[first..<min(first + size, text.count)]))
            run.run()
        }
        run.finish()
        run.run()
        let letters = run.bytes.map { byte in byte < 0x80 ? byte : ~byte - UInt8(ascii: "0") + UInt8(ascii: "a") }
        #expect(String(decoding: letters, as: UTF8.self) == expected)
        #expect(run.end == .finished)
        #expect(run.machine.position == 10)
    }

    @Test("More than 64 KiB are repeated in blocks of 64 KiB")
    func largeDuplicate() {
        var run = LaneRun { $0.events = [FaultEvent(at: 0, .duplicate(70_000))] }
        let sent = (0..<70_000).map { String($0 % 10) }.joined()
        run.send(sent)
        run.finish()
        run.run()
        let (first, second) = (sent.utf8.prefix(65_536), sent.utf8.dropFirst(65_536))
        var expected = Array(first)
        expected += first
        expected += second
        expected += second
        #expect(run.bytes == expected)
    }

    @Test("n bytes take n / rate from their arrival, also after a pause")
    func rate() {
        var run = LaneRun { $0.bytesPerSecond = 10 }
        run.send("abc")
        run.run()
        #expect(run.times == [100, 200, 300])
        run.advance(.seconds(5))
        run.send("de")
        run.run()
        #expect(run.times.suffix(2) == [5400, 5500])
        #expect(run.writes.joined() == "abcde")
    }

    @Test("With a rate, the bytes of 20 ms are one write")
    func quantum() {
        var run = LaneRun { $0.bytesPerSecond = 1000 }
        run.send(String(repeating: "x", count: 50))
        run.run()
        #expect(run.writes.map(\.count) == [20, 20, 10])
        #expect(run.times == [20, 40, 50])
    }

    @Test("Bytes that a silence held back pass at the rate afterwards, not at once")
    func rateAfterSilence() {
        var run = LaneRun { $0.bytesPerSecond = 10 }
        run.machine.silence(at: run.now)
        run.send("ab")
        run.run()
        #expect(run.writes == [])
        run.advance(.seconds(3))
        run.machine.resume(at: run.now)
        run.run()
        #expect(run.times == [3100, 3200])
    }

    @Test("Each piece is delayed by the latency and a part of the jitter, and no piece overtakes another")
    func latency() {
        var run = LaneRun {
            $0.latency = .milliseconds(100)
            $0.jitter = .milliseconds(50)
        }
        run.send("a", jitter: 1)
        run.advance(.milliseconds(10))
        run.send("b", jitter: 0)
        run.advance(.milliseconds(60))
        run.send("c", jitter: 0.5)
        run.finish()
        run.run()
        #expect(run.writes == ["a", "b", "c"])
        #expect(run.times == [150, 150, 195])
        #expect(run.end == .finished)
    }

    @Test("During a pause nothing passes and nothing is read; then the lane continues")
    func pause() {
        var run = LaneRun { $0.events = [FaultEvent(at: 1, .pause(.milliseconds(250)))] }
        run.send("ab")
        guard case .write = run.machine.next(at: run.now) else {
            Issue.record("the first byte does not pass")
            return
        }
        run.machine.wrote(at: run.now)
        guard case .fault = run.machine.next(at: run.now) else {
            Issue.record("no pause")
            return
        }
        #expect(!run.machine.wantsBytes(at: run.now))
        run.run()
        #expect(run.writes == ["b"])
        #expect(run.times == [250])
        #expect(run.machine.wantsBytes(at: run.now))
    }

    @Test("Silence holds back the bytes and the end until it is over")
    func silence() {
        var run = LaneRun { $0.events = [FaultEvent(at: 1, .silence)] }
        run.send("abc")
        run.run()
        #expect(run.writes == ["a"])
        #expect(!run.machine.wantsBytes(at: run.now))
        run.finish()
        run.machine.resume(at: run.now)
        run.run()
        #expect(run.writes == ["a", "bc"])
        #expect(run.end == .finished)
    }

    @Test("A silent direction is closed 30 s after its sender's end")
    func abandoned() {
        var run = LaneRun { $0.events = [FaultEvent(at: 0, .silence)] }
        run.run()
        run.advance(.seconds(7))
        run.finish()
        run.run()
        #expect(run.isAbandoned)
        #expect(run.now == LaneRun.start.advanced(by: .seconds(37)))
    }

    @Test("One write is in flight at a time, and reading stops when 64 KiB are buffered")
    func backPressure() {
        var run = LaneRun()
        #expect(run.machine.wantsBytes(at: run.now))
        run.send(String(repeating: "x", count: 1 << 16))
        #expect(!run.machine.wantsBytes(at: run.now))
        guard case .write = run.machine.next(at: run.now) else {
            Issue.record("nothing is written")
            return
        }
        run.send(String(repeating: "y", count: 1 << 16))
        guard case .wait(until: nil) = run.machine.next(at: run.now) else {
            Issue.record("a second write begins before the first is done")
            return
        }
        #expect(!run.machine.wantsBytes(at: run.now))
        run.machine.wrote(at: run.now)
        run.run()
        #expect(run.machine.wantsBytes(at: run.now))
        #expect(run.machine.position == 1 << 17)
    }

    @Test("many small pieces stop reading too")
    func manyPieces() {
        var run = LaneRun()
        for _ in 0..<256 { run.send("x") }
        #expect(!run.machine.wantsBytes(at: run.now))
        run.run()
        #expect(run.machine.wantsBytes(at: run.now))
    }

    @Test("A reset replaces an end that has not passed, and the bytes that were read pass first")
    func resetAfterFinish() {
        var run = LaneRun { $0.latency = .milliseconds(1) }
        run.send("ab")
        run.finish()
        run.finish(.reset)
        run.finish()
        run.run()
        #expect(run.writes == ["ab"])
        #expect(run.end == .reset)
    }

    @Test("The output matches a byte-by-byte model, for random events and pieces")
    func model() {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<300 {
            let events = (0..<random.next(in: 0..<6)).map { _ in drawEvent(&random) }
            let sent = (0..<random.next(in: 0..<60)).map { _ in UInt8(random.next(in: 0..<256)) }
            var run = LaneRun {
                $0.events = events
                if random.nextBool() { $0.sliceBytes = random.next(in: 1..<9) }
                if random.nextBool() { $0.bytesPerSecond = random.next(in: 1..<500) }
                if random.nextBool() { $0.jitter = .milliseconds(random.next(in: 0..<50)) }
            }
            var rest = sent[...]
            while !rest.isEmpty {
                let piece = rest.prefix(random.next(in: 1..<12))
                rest = rest.dropFirst(piece.count)
                run.machine.received(ByteBuffer(bytes: piece), at: run.now, jitter: random.nextDouble())
                if random.nextBool() { run.run() }
            }
            run.finish()
            run.run()
            #expect(run.bytes == Self.expected(of: sent, events), "\(events)")
            #expect(run.machine.position == sent.count)
            #expect(run.end == .finished)
        }
    }

    private func drawEvent(_ random: inout SeededRandom) -> FaultEvent {
        let count = random.next(in: 0..<12)
        let kinds: [FaultEvent.Kind] = [
            .swallow(count), .duplicate(count), .corrupt(count), .pause(.milliseconds(count)),
        ]
        return FaultEvent(at: random.next(in: 0..<50), kinds[random.next(in: 0..<kinds.count)])
    }

    private static func expected(of sent: [UInt8], _ events: [FaultEvent]) -> [UInt8] {
        var (swallowing, duplicating, corrupting) = (0, 0, 0)
        var (passed, copied): ([UInt8], [UInt8]) = ([], [])
        for (position, byte) in sent.enumerated() {
            for event in events where event.offset == position {
                switch event.kind {
                case .swallow(let count): swallowing = max(swallowing, count)
                case .duplicate(let count): duplicating = max(duplicating, count)
                case .corrupt(let count): corrupting = max(corrupting, count)
                default: break
                }
            }
            if swallowing == 0 {
                let changed = corrupting > 0 ? byte ^ 0xFF : byte
                passed.append(changed)
                if duplicating > 0 { copied.append(changed) }
            }
            (swallowing, corrupting) = (max(0, swallowing - 1), max(0, corrupting - 1))
            duplicating = max(0, duplicating - 1)
            if duplicating == 0 {
                passed += copied
                copied = []
            }
        }
        return passed + copied
    }
}
