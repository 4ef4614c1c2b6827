public import BowlineCore

/// Runs `body` on virtual time: all its tasks run on one thread, and when all of them wait, the clock jumps to the next
/// wake-up. So a simulated minute takes milliseconds, and the same seed gives the same run.
///
/// ```swift
/// let taken = try await withVirtualTime(seed: 1) { time in
///     let began = time.now
///     try await time.sleep(for: .seconds(3600))
///     return began.duration(to: time.now)     // one hour, at once
/// }
/// ```
/// Use it with a client whose `configuration.clock` is `time.clock` and whose `configuration.random` is `time.random`,
/// and with a transport that does no input or output: a ``StubTransport`` or a ``SimulatedService``. To move the clock
/// by hand, step by step, use ``TestClock``.
///
/// - The body, its child tasks (`async let`, task groups), actors and the tasks of Bowline's clients run on the thread.
///   `Task { }`, `Task.detached { }`, the main actor and `Task.sleep` do not. Use ``VirtualTime/startTask(_:)`` and
///   ``VirtualTime/sleep(for:)`` instead.
/// - The work of other threads is not virtual: sockets, files, `DispatchQueue`. The clock does not wait for it, unless
///   it runs in ``VirtualTime/holdingClock(while:)``.
/// - If the calling task is cancelled, the body is cancelled.
/// - When the body has ended, tasks that still sleep on the clock get a `CancellationError`. The function returns when
///   no task of the run has anything left to do.
///
/// - Parameters:
///   - seed: The seed of ``VirtualTime/random``, ``VirtualTime/makeRandom(_:)`` and the order `.shuffled`.
///   - order: The order in which jobs run that are ready at the same time. Default: in the order of their arrival.
///   - limit: How far the clock may go. Default: one day. It ends a run in which something wakes again and again, but
///     the body does not end.
///   - body: The work. It gets the clock.
/// - Returns: the result of the body.
/// - Throws: the error of the body; ``VirtualTimeFailure`` if the body cannot end, instead of a hang.
public func withVirtualTime<Result: Sendable>(
    seed: UInt64 = 0, order: VirtualTime.JobOrder = .arrival, limit: Duration = .seconds(86_400),
    _ body: @escaping @Sendable (_ time: VirtualTime) async throws -> Result
) async throws -> Result {
    let limits = VirtualTimeLimits(end: VirtualTime.start.advanced(by: limit))
    return try await VirtualTime(seed: seed, order: order, limits: limits, patience: .seconds(1)).run(body)
}

/// The clock, the randomness and the trace of one run of ``withVirtualTime(seed:order:limit:_:)``.
public struct VirtualTime: Sendable {
    /// The order in which jobs run that are ready at the same time. A job is a part of a task that runs without a wait.
    public enum JobOrder: Sendable, Hashable, CaseIterable {
        /// In the order in which they became ready.
        case arrival
        /// In an order that the seed decides. Use it with many seeds to find faults that depend on the order.
        case shuffled
    }

    /// The time at which each run begins.
    static let start = MonotonicInstant(nanoseconds: 0)

    /// The clock. Set it as `configuration.clock`.
    public let clock: VirtualClock
    /// The seed of the run.
    public let seed: UInt64
    /// Numbers from 0 up to but not including 1, which the seed decides. Set it as `configuration.random`.
    public let random: @Sendable () -> Double
    let loop: VirtualTimeLoop

    init(seed: UInt64, order: JobOrder, limits: VirtualTimeLimits, patience: Duration) {
        loop = VirtualTimeLoop(
            start: Self.start, order: order, limits: limits, patience: patience,
            random: Self.random(of: "order", seed))
        clock = VirtualClock(loop)
        self.seed = seed
        random = Self.random(of: "random", seed).source()
    }

    func run<Result: Sendable>(_ body: @escaping @Sendable (VirtualTime) async throws -> Result) async throws -> Result
    {
        // A run within a run has its own thread and clock. The outer clock waits for it.
        let outer = VirtualTimeLoop.current
        outer?.holdBegan()
        defer { outer?.holdEnded() }
        return try await loop.run { try await body(self) }
    }

    // MARK: Time

    /// The time now. It begins at zero.
    public var now: MonotonicInstant { clock.now }

    /// The time since the run began.
    public var elapsed: Duration { Self.start.duration(to: now) }

    /// Suspends the task until the clock has moved by `duration`.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    public func sleep(for duration: Duration) async throws {
        try await loop.sleep(until: now.advanced(by: duration))
    }

    /// Suspends the task until the clock has reached `instant`.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    public func sleep(until instant: MonotonicInstant) async throws {
        try await loop.sleep(until: instant)
    }

    /// Suspends the task until it is `elapsed` after the run's begin.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    public func sleep(untilElapsed elapsed: Duration) async throws {
        try await loop.sleep(until: Self.start.advanced(by: elapsed))
    }

    /// Waits until all other tasks wait: everything that can happen at this instant has happened. The clock does not
    /// move.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public func settle() async throws {
        try await loop.settle()
    }

    // MARK: Tasks

    /// Makes a task as `Task { }` does, on the thread of this run.
    @discardableResult
    public func startTask<Success: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Success
    ) -> Task<Success, any Error> {
        Task(executorPreference: loop, operation: operation)
    }

    /// Runs `work` on the thread when the clock has reached `instant`, without a task. After the end of the run, `work`
    /// is dropped.
    @discardableResult
    package func schedule(at instant: MonotonicInstant, _ work: @escaping @Sendable () -> Void) -> VirtualTimer {
        loop.schedule(at: instant, work)
    }

    /// Runs `work` on the thread, without a task, after the jobs that are ready now. After the end of the run, `work` is
    /// dropped.
    package func execute(_ work: @escaping @Sendable () -> Void) {
        loop.execute(work)
    }

    /// Runs `work` while the clock stands still. Use it where a task waits for another thread: without it, the clock
    /// may jump meanwhile, or the run ends with `nothingCanRun`.
    ///
    /// The run is deterministic only if the result of `work` is.
    public func holdingClock<Result: Sendable>(
        while work: @Sendable () async throws -> Result
    ) async rethrows -> Result {
        loop.holdBegan()
        defer { loop.holdEnded() }
        return try await work()
    }

    /// Runs `work`. If the run gets stuck meanwhile, the error names `text`.
    public func waiting<Result: Sendable>(
        for text: String, _ work: @Sendable () async throws -> Result
    ) async rethrows -> Result {
        let number = loop.waitBegan(text)
        defer { loop.waitEnded(number) }
        return try await work()
    }

    // MARK: Randomness

    /// Makes a generator for one part of a simulation. The seed and the name decide its numbers, so that one part does
    /// not change the numbers of another.
    public func makeRandom(_ name: String) -> SeededRandom {
        Self.random(of: "made \(name)", seed)
    }

    /// Mixes the name into the seed (FNV-1a), and the result once more (SplitMix64).
    private static func random(of name: String, _ seed: UInt64) -> SeededRandom {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        var mixer = SeededRandom(seed: seed ^ hash)
        return SeededRandom(seed: mixer.next())
    }

    // MARK: The trace

    /// Adds a line to the ``trace``, with the time before it.
    public func note(_ text: String) {
        loop.note(text)
    }

    /// The lines of ``note(_:)`` and of simulated services, in order. Two runs with the same seed have the same trace.
    public var trace: [String] { loop.trace }

    /// How many jobs have run. Two runs with the same seed have the same number at the same place.
    public var jobsRun: Int { loop.jobsRun }

    /// The text of an instant in traces: seconds with nine decimals, such as `12.500000000`.
    static func text(_ instant: MonotonicInstant) -> String {
        let (seconds, rest) = instant.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let decimals = String(rest.magnitude)
        return "\(seconds).\(String(repeating: "0", count: 9 - decimals.count))\(decimals)"
    }
}
