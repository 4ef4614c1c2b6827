import BowlineCore
import BowlineTesting
import Dispatch
import Testing

@testable import BowlineTransport

@Suite("When the files of an identity are looked at and read")
struct IdentityWatchTests {
    enum Event: Equatable, Sendable {
        /// A dial, so many milliseconds after the beginning.
        case dialled(at: Int)
        case looked(Int)
        case read
    }

    enum Effect: Equatable, Sendable {
        case none, looks, rests, reads
    }

    /// The files have stamp 0 at first, and the interval is a second.
    static let rows: [([Event], [Effect])] = [
        // Nothing before the interval is over.
        ([.dialled(at: 0), .dialled(at: 999), .dialled(at: 1000)], [.none, .none, .looks]),
        // The interval begins with a look, not with its end.
        (
            [.dialled(at: 1500), .dialled(at: 9000), .looked(0), .dialled(at: 2499), .dialled(at: 2500)],
            [.looks, .none, .rests, .none, .looks]
        ),
        // Another stamp: the files are read, and nothing else happens meanwhile.
        (
            [
                .dialled(at: 1000), .looked(1), .dialled(at: 5000), .looked(2), .read, .dialled(at: 5000),
                .looked(1), .dialled(at: 6000), .looked(0),
            ],
            [.looks, .reads, .none, .rests, .none, .looks, .rests, .looks, .reads]
        ),
        // Events that do not fit change nothing.
        ([.looked(1), .read, .dialled(at: 1000), .read, .looked(0)], [.rests, .none, .looks, .none, .rests]),
    ]

    private static func instant(_ milliseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    private struct Walk: ~Copyable {
        var watch = IdentityWatch(0, now: IdentityWatchTests.instant(0))

        mutating func perform(_ event: Event) -> Effect {
            switch event {
            case .dialled(let time): return watch.dialled(now: IdentityWatchTests.instant(time)) ? .looks : .none
            case .looked(let stamp): return watch.looked(stamp) == .read ? .reads : .rests
            case .read:
                watch.read()
                return .none
            }
        }
    }

    @Test("Each sequence of events has the effects that the table says", arguments: rows.indices)
    func sequences(index: Int) {
        let (events, expected) = Self.rows[index]
        var walk = Walk()
        var effects: [Effect] = []
        for event in events { effects.append(walk.perform(event)) }
        #expect(effects == expected)
    }

    @Test("For 100,000 random events the machine does what a model does")
    func walk() throws {
        enum Phase { case resting, looking, reading }
        var random = SeededRandom.fromEnvironment()
        for round in 0..<500 {
            var walk = Walk()
            var (phase, seen, lookedAt, now) = (Phase.resting, 0, 0, 0)
            for step in 0..<200 {
                now += random.next(in: 0..<700)
                let event: Event =
                    switch random.next(in: 0..<3) {
                    case 0: .dialled(at: now)
                    case 1: .looked(random.next(in: 0..<3))
                    default: .read
                    }
                var expected = Effect.none
                switch (event, phase) {
                case (.dialled, .resting) where now - lookedAt >= 1000:
                    (phase, lookedAt, expected) = (.looking, now, .looks)
                case (.looked(let stamp), .looking) where stamp != seen:
                    (phase, seen, expected) = (.reading, stamp, .reads)
                case (.looked, .looking): (phase, expected) = (.resting, .rests)
                case (.looked, _): expected = .rests
                case (.read, .reading): phase = .resting
                default: break
                }
                let effect = walk.perform(event)
                try #require(effect == expected, "round \(round), step \(step), \(event)")
            }
        }
    }
}

@Suite("The newest context of an identity in files", .timeLimit(.minutes(1)))
struct IdentityRenewalDriverTests {
    private struct Broken: Error {}

    /// The files of a test: their stamp, and what a read makes of them; nil: they cannot be read.
    private final class Files: Sendable {
        let stamp = Guarded(0)
        let content = Guarded<String?>("first")
        let looks = Guarded(0)
        let reads = Guarded(0)
        let warnings = Guarded<[String]>([])

        func change(to content: String?) {
            self.content.withLock { $0 = content }
            stamp.withLock { $0 += 1 }
        }

        func renewal(
            _ clock: TestClock, beforeReading: @escaping @Sendable () -> Void = {}
        ) -> IdentityRenewal<String, Int> {
            IdentityRenewal(
                0, clock: clock,
                look: {
                    self.looks.withLock { $0 += 1 }
                    return self.stamp.withLock { $0 }
                },
                make: {
                    beforeReading()
                    self.reads.withLock { $0 += 1 }
                    guard let content = self.content.withLock({ $0 }) else { throw Broken() }
                    return content
                },
                warn: { message in self.warnings.withLock { $0.append(message) } })
        }
    }

    @Test("Files that do not change are looked at, and never read")
    func unchanged() async throws {
        let (clock, files) = (TestClock(), Files())
        let renewal = files.renewal(clock)
        for look in 1...3 {
            clock.advance(by: .seconds(1))
            // A dial before the end of the look begins no second one.
            try await eventually("look \(look)") {
                renewal.dialled()
                return files.looks.withLock { $0 } == look
            }
        }
        #expect(files.reads.withLock { $0 } == 0)
        #expect(renewal.renewed == nil)
    }

    @Test("A read that hangs holds no dial, and the context before stays")
    func hangs() async throws {
        let (clock, files) = (TestClock(), Files())
        let (hasBegun, mayEnd) = (Gate(), DispatchSemaphore(value: 0))
        let renewal = files.renewal(clock) {
            hasBegun.open()
            mayEnd.wait()
        }
        files.change(to: "second")
        clock.advance(by: .seconds(1))
        renewal.dialled()
        try await hasBegun.wait()
        for _ in 1...5 {
            clock.advance(by: .seconds(1))
            renewal.dialled()
            #expect(renewal.renewed == nil)
        }
        mayEnd.signal()
        try await eventually("the new context") { renewal.renewed == "second" }
        #expect(files.looks.withLock { $0 } == 1)
        #expect(files.reads.withLock { $0 } == 1)
    }

    @Test("Files that cannot be used are reported once for each change")
    func warnings() async throws {
        let (clock, files) = (TestClock(), Files())
        let renewal = files.renewal(clock)
        for change in 1...2 {
            files.change(to: nil)
            for _ in 1...3 {
                clock.advance(by: .seconds(1))
                let looks = files.looks.withLock { $0 }
                try await eventually("a look") {
                    renewal.dialled()
                    return files.looks.withLock { $0 } > looks
                }
            }
            try await eventually("the warning") { files.warnings.withLock { $0.count } == change }
        }
        #expect(
            files.warnings.withLock { $0 }.allSatisfy {
                $0 == "the changed files of tls.identity cannot be used, so the client keeps its certificate (Broken)"
            })
        #expect(renewal.renewed == nil)
        files.change(to: "third")
        clock.advance(by: .seconds(1))
        try await eventually("the new context") {
            renewal.dialled()
            return renewal.renewed == "third"
        }
        #expect(files.reads.withLock { $0 } == 3)
    }
}
