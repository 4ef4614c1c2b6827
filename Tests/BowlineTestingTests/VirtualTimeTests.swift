import BowlineCore
import BowlinePlatform
import Synchronization
import Testing

@testable import BowlineTesting

@Suite("Virtual time", .timeLimit(.minutes(5)))
struct VirtualTimeTests {
    /// Runs `body` with short waits for other threads, and returns the failure of the run.
    private func failure(
        limit: Duration = .seconds(3600), jobs: Int = 1000,
        _ body: @escaping @Sendable (VirtualTime) async throws -> Void
    ) async throws -> VirtualTimeFailure? {
        var limits = VirtualTimeLimits(end: VirtualTime.start.advanced(by: limit))
        limits.jobsPerInstant = jobs
        let time = VirtualTime(seed: 0, order: .arrival, limits: limits, patience: .milliseconds(20))
        return await #expect(throws: VirtualTimeFailure.self) { try await time.run(body) }
    }

    // MARK: The clock

    @Test("A sleep of an hour takes no time, and the clock shows the hour", .tags(.VT1))
    func jump() async throws {
        let before = ContinuousClock.now
        let (elapsed, clock) = try await withVirtualTime { time in
            try await time.sleep(for: .seconds(3600))
            return (time.elapsed, time.clock.now)
        }
        #expect(elapsed == .seconds(3600))
        #expect(clock == MonotonicInstant(nanoseconds: 3_600_000_000_000))
        #expect(ContinuousClock.now - before < .seconds(60))
    }

    @Test("Tasks wake in the order of their deadlines, and work takes no virtual time", .tags(.VT1))
    func order() async throws {
        let trace = try await withVirtualTime { time in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (name, wait) in [("c", 30), ("a", 10), ("b", 10), ("d", 20)] {
                    group.addTask {
                        try await time.sleep(for: .milliseconds(wait))
                        time.note(name)
                        try await time.sleep(for: .milliseconds(15))
                        time.note("\(name) again")
                    }
                }
                try await group.waitForAll()
            }
            return time.trace
        }
        #expect(
            trace == [
                "0.010000000 a", "0.010000000 b", "0.020000000 d", "0.025000000 a again", "0.025000000 b again",
                "0.030000000 c", "0.035000000 d again", "0.045000000 c again",
            ])
    }

    @Test("Sleeps in tasks of tasks of tasks are exact to the nanosecond", .tags(.VT1))
    func nested() async throws {
        @Sendable func fork(_ depth: Int, _ time: VirtualTime) async throws -> Int {
            try await time.sleep(for: .nanoseconds(1))
            guard depth > 0 else { return 1 }
            async let left = fork(depth - 1, time)
            async let right = fork(depth - 1, time)
            return try await left + right
        }
        let (leaves, elapsed) = try await withVirtualTime { time in (try await fork(6, time), time.elapsed) }
        #expect(leaves == 64)
        #expect(elapsed == .nanoseconds(7))
    }

    @Test("A cancelled sleep ends at once, without moving the clock", .tags(.VT1))
    func cancelledSleep() async throws {
        let (elapsed, wasCancelled) = try await withVirtualTime { time in
            let sleeper = time.startTask { try await time.sleep(for: .seconds(100)) }
            try await time.sleep(for: .seconds(1))
            sleeper.cancel()
            let result = await sleeper.result
            guard case .failure(let error) = result else { return (time.elapsed, false) }
            return (time.elapsed, error is CancellationError)
        }
        #expect(elapsed == .seconds(1))
        #expect(wasCancelled)
    }

    @Test("A sleep of a task that is already cancelled does not begin")
    func cancelledBefore() async throws {
        let elapsed = try await withVirtualTime { time in
            let task = time.startTask {
                withUnsafeCurrentTask { $0?.cancel() }
                try await time.sleep(for: .seconds(1))
            }
            _ = await task.result
            return time.elapsed
        }
        #expect(elapsed == .zero)
    }

    @Test("settle returns when all other tasks wait, and the clock stands still", .tags(.VT1))
    func settle() async throws {
        let trace = try await withVirtualTime { time in
            for name in ["a", "b"] {
                time.startTask {
                    for step in 0..<3 {
                        await Task.yield()
                        time.note("\(name)\(step)")
                    }
                    try await time.sleep(for: .seconds(1))
                    time.note("\(name) late")
                }
            }
            try await time.settle()
            time.note("settled")
            try await time.sleep(for: .seconds(2))
            return time.trace
        }
        #expect(trace.firstIndex(of: "0.000000000 settled") == 6)
        #expect(trace.suffix(2) == ["1.000000000 a late", "1.000000000 b late"])
    }

    // MARK: One thread

    private actor Counter {
        private(set) var threads: Set<ThreadName> = []

        func note() async {
            threads.insert(ThreadName.current)
            await Task.yield()
            threads.insert(ThreadName.current)
        }
    }

    private struct ThreadName: Hashable, Sendable {
        let text: String
        static var current: ThreadName { ThreadName(text: "\(pthread_self())") }
    }

    @Test("The body, child tasks, actors and inheriting tasks share one thread, which is not the caller's", .tags(.VT2))
    func oneThread() async throws {
        let threads = try await withVirtualTime { time in
            let counter = Counter()
            await counter.note()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<5 {
                    group.addTask {
                        try await time.sleep(for: .milliseconds(index))
                        await counter.note()
                    }
                }
                try await group.waitForAll()
            }
            async let child: Void = counter.note()
            await child
            await Task.inheriting { await counter.note() }.value
            await Task.detachedInheriting { await Task.inheriting { await counter.note() }.value }.value
            try await time.startTask { await counter.note() }.value
            return await counter.threads
        }
        #expect(threads.count == 1)
        #expect(!threads.contains(ThreadName.current))
    }

    @Test("Outside virtual time, no executor is inherited")
    func outside() async throws {
        #expect(InheritedExecutor.current == nil)
        let inside = try await withVirtualTime { _ in InheritedExecutor.current != nil }
        #expect(inside)
        #expect(InheritedExecutor.current == nil)
        #expect(await Task.inheriting { InheritedExecutor.current == nil }.value)
    }

    // MARK: Determinism

    /// Tasks that sleep, yield, cancel each other and draw numbers.
    @Sendable private static func mixture(_ time: VirtualTime) async throws -> String {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<12 {
                group.addTask {
                    var random = time.makeRandom("task \(index)")
                    for _ in 0..<4 {
                        let other = time.startTask { try await time.sleep(for: .milliseconds(2)) }
                        try await time.sleep(for: .microseconds(random.next(in: 0..<3000)))
                        if time.random() < 0.5 { other.cancel() }
                        await Task.yield()
                        let result = await other.result
                        time.note("\(index) \(time.random()) \((try? result.get()) != nil)")
                    }
                }
            }
            try await group.waitForAll()
        }
        return (time.trace + ["\(time.jobsRun) jobs"]).joined(separator: "\n")
    }

    @Test(
        "The same seed gives the same trace, byte for byte, 1,000 times", .tags(.VT3),
        arguments: VirtualTime.JobOrder.allCases)
    func deterministic(order: VirtualTime.JobOrder) async throws {
        let first = try await withVirtualTime(seed: 42, order: order, Self.mixture)
        #expect(first.utf8.count > 1500)
        var same = 0
        for _ in 0..<1000 where try await withVirtualTime(seed: 42, order: order, Self.mixture) == first { same += 1 }
        #expect(same == 1000)
    }

    @Test(
        "Other seeds give other traces, and the order of jobs depends on the seed only if it is asked for", .tags(.VT3))
    func seeds() async throws {
        let traces = try await withThrowingTaskGroup(of: String.self) { group in
            for seed in 0..<20 as Range<UInt64> {
                group.addTask { try await withVirtualTime(seed: seed, Self.mixture) }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(traces.count == 20)

        @Sendable func orders(_ time: VirtualTime) async throws -> [String] {
            await withTaskGroup(of: Void.self) { group in
                for index in 0..<8 { group.addTask { time.note("\(index)") } }
            }
            return time.trace
        }
        var arrival: Set<[String]> = []
        var shuffled: Set<[String]> = []
        for seed in 0..<10 as Range<UInt64> {
            arrival.insert(try await withVirtualTime(seed: seed, orders))
            shuffled.insert(try await withVirtualTime(seed: seed, order: .shuffled, orders))
        }
        #expect(arrival == [(0..<8).map { "0.000000000 \($0)" }])
        #expect(shuffled.count > 5)
    }

    @Test("The named generators of a seed differ from each other and repeat", .tags(.VT3))
    func randomness() async throws {
        let numbers = try await withVirtualTime(seed: 9) { time in
            ["a", "b", "a"].map { name in
                var random = time.makeRandom(name)
                return random.next()
            }
        }
        #expect(numbers[0] == numbers[2])
        #expect(numbers[0] != numbers[1])
    }

    // MARK: Ends

    @Test("A body that waits for nothing ends with an error that names the wait, and is cancelled first", .tags(.VT4))
    func deadlock() async throws {
        let gate = Gate()
        let failure = try await failure { time in
            try await time.sleep(for: .seconds(3))
            try await time.waiting(for: "the answer to everything") { try await gate.wait() }
        }
        #expect(failure?.reason == .nothingCanRun)
        #expect(failure?.instant == MonotonicInstant(nanoseconds: 3_000_000_000))
        #expect(failure?.waiting == ["the answer to everything", "a gate that is closed"])
        #expect(failure?.description.contains("stopped at 3.000000000") == true)
        // The gate's waiter was cancelled, so nothing waits any more.
        #expect(gate.waitingCount == 0)
    }

    @Test("A body that ignores its cancellation is given up", .tags(.VT4))
    func ignoredCancellation() async throws {
        let holder = Holder()
        let failure = try await failure { _ in
            await withCheckedContinuation { continuation in holder.keep(continuation) }
        }
        #expect(failure?.reason == .nothingCanRun)
        #expect(failure?.waiting == [])
        // The task ends now, on another thread.
        holder.take()?.resume()
    }

    private final class Holder: Sendable {
        private let kept = Mutex<CheckedContinuation<Void, Never>?>(nil)

        func keep(_ continuation: CheckedContinuation<Void, Never>) { kept.withLock { $0 = continuation } }
        func take() -> CheckedContinuation<Void, Never>? { kept.withLock { $0.take() } }
    }

    @Test("A body that only sleeps until the distant future is stuck, and the error says so", .tags(.VT4))
    func sleepsForEver() async throws {
        let failure = try await failure { time in try await time.sleep(until: .distantFuture) }
        #expect(failure?.reason == .nothingCanRun)
        #expect(failure?.description.contains("1 tasks sleep without an end") == true)
    }

    @Test("A body that wakes again and again ends at the limit", .tags(.VT4))
    func limit() async throws {
        let failure = try await failure(limit: .seconds(60)) { time in
            while true { try await time.sleep(for: .seconds(1)) }
        }
        #expect(failure?.reason == .limitPassed)
        #expect(failure?.instant == MonotonicInstant(nanoseconds: 60_000_000_000))
    }

    @Test("A loop that yields but never waits ends with an error", .tags(.VT4))
    func spinning() async throws {
        let failure = try await failure { _ in
            while !Task.isCancelled { await Task.yield() }
        }
        #expect(failure?.reason == .spinning)
        #expect(failure?.instant == MonotonicInstant(nanoseconds: 0))
    }

    @Test("The error of the body reaches the caller")
    func bodyError() async throws {
        struct OwnError: Error {}
        await #expect(throws: OwnError.self) {
            try await withVirtualTime { time in
                try await time.sleep(for: .seconds(1))
                throw OwnError()
            }
        }
    }

    @Test("If the calling task is cancelled, the body is cancelled")
    func callerCancelled() async throws {
        let gate = Gate()
        let task = Task {
            try await withVirtualTime { time in
                try await time.holdingClock {
                    gate.open()
                    try await Gate().wait()
                }
            }
        }
        try await gate.wait()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("Tasks that the body leaves behind get a cancellation error, and their last work still counts", .tags(.VT2))
    func leftBehind() async throws {
        let notes = Gate()
        let time = try await withVirtualTime { time in
            time.startTask {
                do {
                    try await time.sleep(for: .seconds(10))
                    time.note("slept")
                } catch is CancellationError {
                    time.note("cancelled")
                }
                notes.open()
            }
            try await time.settle()
            return time
        }
        #expect(notes.isOpen)
        #expect(time.trace == ["0.000000000 cancelled"])
        #expect(time.now == MonotonicInstant(nanoseconds: 0))
    }

    // MARK: Other threads

    @Test("The clock stands still while held, although tasks sleep on it", .tags(.VT1))
    func held() async throws {
        let elapsed = try await withVirtualTime { time in
            let sleeper = time.startTask { try await time.sleep(for: .seconds(5)) }
            let during = try await time.holdingClock {
                try await time.settle()
                return await Task.detached { time.elapsed }.value
            }
            try await sleeper.value
            return (during, time.elapsed)
        }
        #expect(elapsed.0 == .zero)
        #expect(elapsed.1 == .seconds(5))
    }

    @Test("A body that waits for another thread, without a sleeper, is not stuck")
    func foreignWork() async throws {
        let (thread, elapsed) = try await withVirtualTime { time in
            (await Task.detached { ThreadName.current }.value, time.elapsed)
        }
        #expect(!thread.text.isEmpty)
        #expect(elapsed == .zero)
    }

    @Test("A run within a run has its own clock, and the outer clock waits for it")
    func runInRun() async throws {
        let (inner, outer) = try await withVirtualTime { outerTime in
            let sleeper = outerTime.startTask { try await outerTime.sleep(for: .seconds(1)) }
            let inner = try await withVirtualTime { innerTime in
                try await innerTime.sleep(for: .seconds(50))
                return innerTime.elapsed
            }
            let before = outerTime.elapsed
            try await sleeper.value
            return (inner, before)
        }
        #expect(inner == .seconds(50))
        #expect(outer == .zero)
    }

    // MARK: Work without tasks

    @Test("Scheduled work runs at its instant, on the thread, unless it is cancelled")
    func scheduledWork() async throws {
        let trace = try await withVirtualTime { time in
            time.schedule(at: VirtualTime.start.advanced(by: .seconds(2))) { time.note("two") }
            time.schedule(at: VirtualTime.start.advanced(by: .seconds(1))) {
                time.note("one")
                time.execute { time.note("after one") }
            }
            let cancelled = time.schedule(at: VirtualTime.start.advanced(by: .seconds(1))) { time.note("cancelled") }
            cancelled.cancel()
            time.schedule(at: VirtualTime.start) { time.note("now") }
            try await time.sleep(for: .seconds(3))
            time.schedule(at: VirtualTime.start.advanced(by: .seconds(9))) { time.note("never") }
            return time.trace
        }
        #expect(trace == ["0.000000000 now", "1.000000000 one", "1.000000000 after one", "2.000000000 two"])
    }

    // MARK: The waits of this kit

    @Test("The waits of the testing kit take virtual time")
    func kit() async throws {
        let before = ContinuousClock.now
        let elapsed = try await withVirtualTime { time in
            let gate = Gate()
            let failure = await #expect(throws: WaitTimeout.self) {
                try await gate.waitForWaiters(count: 1, timeout: .seconds(1000))
            }
            #expect(failure?.timeout == .seconds(1000))
            var polls = 0
            try await eventually("the fifth poll") {
                polls += 1
                return polls == 5
            }
            return time.elapsed
        }
        #expect(elapsed == .seconds(1000) + .milliseconds(4))
        #expect(ContinuousClock.now - before < .seconds(500))
    }

    @Test("A stub answers and limits requests on virtual time")
    func stub() async throws {
        let (code, elapsed) = try await withVirtualTime { time in
            let stub = StubTransport()
            stub.on(
                .get, "/slow",
                inOrder: [.respond().delayed(by: .seconds(2), on: time.clock), .respond().held(by: Gate())])
            var timeouts = Timeouts()
            timeouts.attempt = .seconds(5)
            let context = RequestContext(timeouts: timeouts, clock: time.clock)
            let response = try await stub.send(.get("/slow"), context: context)
            #expect(response.status == .ok)
            #expect(time.elapsed == .seconds(2))
            let error = await #expect(throws: ServiceError.self) {
                try await stub.send(.get("/slow"), context: context)
            }
            return (error?.code, time.elapsed)
        }
        #expect(code == .attemptTimeout)
        #expect(elapsed == .seconds(7))
    }
}
