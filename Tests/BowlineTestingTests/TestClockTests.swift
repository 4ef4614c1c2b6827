import BowlineCore
import BowlineTesting
import Testing

@Suite("Test clock", .timeLimit(.minutes(1)))
struct TestClockTests {
    static func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    private final class Recorder: Sendable {
        private let recorded = Guarded<[Int]>([])

        var values: [Int] { recorded.withLock { $0 } }

        func append(_ value: Int) {
            recorded.withLock { $0.append(value) }
        }
    }

    @Test("The clock stands still until it is moved, and never goes back")
    func standsStill() {
        let clock = TestClock(start: Self.instant(5))
        #expect(clock.now == Self.instant(5))
        clock.advance(by: .seconds(2))
        #expect(clock.now == Self.instant(7))
        clock.advance(by: .seconds(-1))
        clock.advance(to: Self.instant(6))
        #expect(clock.now == Self.instant(7))
        clock.advance(to: Self.instant(9))
        #expect(clock.now == Self.instant(9))
        #expect(clock.nextDeadline == nil)
        #expect(clock.advanceToNextDeadline() == nil)
    }

    @Test("A sleep whose deadline has passed returns immediately")
    func noSleep() async throws {
        let clock = TestClock(start: Self.instant(5))
        try await clock.sleep(until: Self.instant(5), tolerance: nil)
        try await clock.sleep(for: .zero)
    }

    @Test("The clock wakes sleepers in the order of their deadlines, and only when they are due")
    func order() async throws {
        let clock = TestClock()
        let woken = Recorder()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 4, 2, 9] {
                group.addTask {
                    try await clock.sleep(for: .seconds(seconds))
                    woken.append(seconds)
                }
            }
            try await clock.waitForSleepers(count: 5)
            #expect(clock.nextDeadline == Self.instant(1))
            for expected in [1, 2] {
                #expect(clock.advanceToNextDeadline() == Self.instant(Int64(expected)))
                try await eventually("\(expected) to wake") { woken.values.last == expected }
            }
            clock.advance(by: .seconds(6))
            try await eventually("3 and 4 to wake") { Set(woken.values) == [1, 2, 3, 4] }
            #expect(clock.sleeperCount == 1)
            clock.advance(by: .seconds(1))
            try await group.waitForAll()
        }
        #expect(woken.values.last == 9)
    }

    @Test("a cancelled sleep throws promptly and is forgotten")
    func cancellation() async throws {
        let clock = TestClock()
        let task = Task { try await clock.sleep(for: .seconds(1)) }
        try await clock.waitForSleepers()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(clock.sleeperCount == 0)
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await clock.sleep(for: .seconds(1))
        }
        await #expect(throws: CancellationError.self) { try await late.value }
    }

    @Test("Waiting for sleepers that never begin fails with a clear error")
    func waitTimesOut() async throws {
        await #expect {
            try await TestClock().waitForSleepers(count: 2, timeout: .milliseconds(5))
        } throws: { error in
            "\(error)".hasPrefix("waited 0.005 s for 2 sleepers, found 0 (")
        }
    }

    @Test("no sleeper is lost or woken twice when sleeping, cancelling and advancing race")
    func races() async throws {
        let clock = TestClock()
        var random = SeededRandom.fromEnvironment()
        let outcomes = try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<500 {
                let pause = Duration.milliseconds(random.next(in: 1..<50))
                let isCancelled = random.nextBool(probability: 0.3)
                group.addTask {
                    let sleeper = Task { try await clock.sleep(for: pause) }
                    if isCancelled { sleeper.cancel() }
                    return (try? await sleeper.value) != nil
                }
            }
            let mover = Task {
                while !Task.isCancelled {
                    clock.advance(by: .milliseconds(1))
                    await Task.yield()
                }
            }
            defer { mover.cancel() }
            return try await group.reduce(into: [Bool]()) { $0.append($1) }
        }
        #expect(outcomes.count == 500)
        #expect(clock.sleeperCount == 0)
    }
}
