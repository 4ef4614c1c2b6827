internal import BowlineCore
internal import BowlinePlatform
internal import NIOConcurrencyHelpers
internal import Synchronization

/// Runs the tasks of one run of virtual time on one thread. ``VirtualTimeStateMachine`` decides what runs next.
final class VirtualTimeLoop: TaskExecutor {
    typealias Work = @Sendable () -> Void
    private typealias Machine = VirtualTimeStateMachine<Job, Sleeper>

    /// What is ready to run.
    enum Job: Sendable {
        case task(UnownedJob)
        case work(Work)
    }

    /// What wakes at an instant.
    enum Sleeper: Sendable {
        case task(CheckedContinuation<Void, any Error>)
        case work(Work)

        func wake() {
            switch self {
            case .task(let continuation): continuation.resume()
            case .work(let work): work()
            }
        }

        /// Work that does not run any more is dropped.
        func cancel() {
            if case .task(let continuation) = self { continuation.resume(throwing: CancellationError()) }
        }
    }

    private struct State: Sendable {
        var machine: Machine
        var random: SeededRandom
        /// Whether the thread waits, or is about to wait, for another thread.
        var isParked = false
        var jobsFromElsewhere = 0
        var waits: [Int: String] = [:]
        var reporters: [@Sendable () -> String?] = []
        var nextWait = 0
        var trace: [String] = []
        var failure: VirtualTimeFailure?
        var cancelBody: (@Sendable () -> Void)?
        var ended: CheckedContinuation<Void, Never>?

        /// - Returns: whether the thread was parked, so that it must be woken.
        mutating func unpark() -> Bool {
            defer { isParked = false }
            return isParked
        }
    }

    private static let slot = ThreadSlot<VirtualTimeLoop>()

    /// How long the thread waits for other threads before it reports that nothing can run.
    private let patience: Duration
    private let instant: Synchronization.Atomic<Int64>
    private let state: Guarded<State>
    /// Wakes the thread: 1 after another thread did something.
    private let signal = ConditionLock(value: 0)

    init(
        start: MonotonicInstant, order: VirtualTime.JobOrder, limits: VirtualTimeLimits, patience: Duration,
        random: SeededRandom
    ) {
        self.patience = patience
        instant = Synchronization.Atomic(start.nanoseconds)
        state = Guarded(State(machine: Machine(start: start, order: order, limits: limits), random: random))
    }

    /// The loop whose thread this is; nil: the thread is not one of virtual time.
    static var current: VirtualTimeLoop? { slot.object }

    var now: MonotonicInstant { MonotonicInstant(nanoseconds: instant.load(ordering: .acquiring)) }
    var jobsRun: Int { state.withLock { $0.machine.jobsRun } }
    var sleeperCount: Int { state.withLock { $0.machine.sleeperCount } }

    // MARK: Jobs

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isOwn = Self.slot.object === self
        let (placement, wakes) = state.withLock { state in
            if !isOwn { state.jobsFromElsewhere += 1 }
            return (state.machine.jobBecameReady(.task(job)), state.unpark())
        }
        if wakes { wake() }
        if case .elsewhere = placement { globalConcurrentExecutor.enqueue(job) }
    }

    /// Runs `work` on the thread, as a job that becomes ready now. After the end of the run, `work` is dropped.
    func execute(_ work: @escaping Work) {
        let wakes = state.withLock { state in
            _ = state.machine.jobBecameReady(.work(work))
            return state.unpark()
        }
        if wakes { wake() }
    }

    /// Runs `work` on the thread when the clock has reached `instant`. If the instant has passed, `work` becomes ready
    /// now. After the end of the run, `work` is dropped.
    @discardableResult
    func schedule(at instant: MonotonicInstant, _ work: @escaping Work) -> VirtualTimer {
        let (ticket, wakes) = state.withLock { state in
            let ticket = state.machine.reserveSleep()
            let start = state.machine.sleepBegan(.work(work), ticket, until: instant)
            if case .over = start { _ = state.machine.jobBecameReady(.work(work)) }
            return (ticket, state.unpark())
        }
        if wakes { wake() }
        return VirtualTimer(loop: self, ticket: ticket)
    }

    func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    // MARK: Sleeps

    func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        guard deadline > now else { return }
        let ticket = state.withLock { $0.machine.reserveSleep() }
        defer { state.synchronize() }
        var isReal = false
        try await withCancellableContinuation { continuation in
            let (start, wakes) = state.withLock { state in
                (state.machine.sleepBegan(.task(continuation), ticket, until: deadline), state.unpark())
            }
            if wakes { wake() }
            switch start {
            case .waits: return nil
            case .over: return .success(())
            case .cancelled: return .failure(CancellationError())
            case .real:
                isReal = true
                return .success(())
            }
        } onCancel: {
            state.withLock { $0.machine.sleepCancelled(ticket) }?.cancel()
        }
        if isReal { try await Task.sleep(for: now.duration(to: deadline)) }
    }

    /// Returns when no other job is ready. The clock does not move meanwhile.
    func settle() async throws {
        try Task.checkCancellation()
        defer { state.synchronize() }
        try await withCheckedThrowingContinuation { continuation in
            let (waits, wakes) = state.withLock { ($0.machine.settlingBegan(.task(continuation)), $0.unpark()) }
            if wakes { wake() }
            if !waits { continuation.resume() }
        }
    }

    func cancel(_ ticket: SleeperHeap<Sleeper>.Ticket) {
        _ = state.withLock { $0.machine.sleepCancelled(ticket) }
    }

    // MARK: Holding the clock

    func holdBegan() {
        state.withLock { $0.machine.holdBegan() }
    }

    func holdEnded() {
        let wakes = state.withLock { state in
            state.machine.holdEnded()
            return state.unpark()
        }
        if wakes { wake() }
    }

    // MARK: What waits, and the trace

    func waitBegan(_ text: String) -> Int {
        state.withLock { state in
            state.nextWait += 1
            state.waits[state.nextWait] = text
            return state.nextWait
        }
    }

    func waitEnded(_ number: Int) {
        state.withLock { $0.waits[number] = nil }
    }

    /// Adds a function that names what waits; nil: nothing.
    func addReporter(_ reporter: @escaping @Sendable () -> String?) {
        state.withLock { $0.reporters.append(reporter) }
    }

    func note(_ text: String) {
        let line = "\(VirtualTime.text(now)) \(text)"
        state.withLock { $0.trace.append(line) }
    }

    var trace: [String] { state.withLock { $0.trace } }

    // MARK: Running

    /// Runs `body` on a thread of its own until it has ended.
    ///
    /// - Throws: the error of `body`; ``VirtualTimeFailure``; `CancellationError` if the calling task was cancelled and
    ///   the body throws it.
    func run<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        let outcome = Outcome<Result>()
        let task = Task(executorPreference: self) {
            do {
                outcome.end(.success(try await body()))
            } catch {
                outcome.end(.failure(error))
            }
            self.bodyEnded()
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in start(continuation, cancelBody: { task.cancel() }) }
        } onCancel: {
            task.cancel()
        }
        if let failure = state.withLock({ $0.failure }) { throw failure }
        guard let result = outcome.take() else { throw CancellationError() }
        return try result.get()
    }

    private func start(_ ended: CheckedContinuation<Void, Never>, cancelBody: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.ended = ended
            state.cancelBody = cancelBody
        }
        let problem = PlatformThread.startDetached {
            Self.slot.hold(self) { InheritedExecutor.use(self) { self.runSteps() } }
        }
        guard let problem else { return }
        fail(.noThread, problem)
        bodyEnded()
        finish(state.withLock { $0.machine.abandon() })
    }

    private func bodyEnded() {
        let wakes = state.withLock { state in
            state.machine.bodyEnded()
            return state.unpark()
        }
        if wakes { wake() }
    }

    /// The work of the thread.
    private func runSteps() {
        while true {
            switch nextStep() {
            case .run(.task(let job)): job.runSynchronously(on: asUnownedTaskExecutor())
            case .run(.work(let work)): work()
            case .resume(let sleepers): for sleeper in sleepers { sleeper.wake() }
            case .cancel(let sleepers): for sleeper in sleepers { sleeper.cancel() }
            case .wait: waitForSignal()
            case .waitBriefly: waitForSignal(for: patience)
            case .cancelBody(let reason): fail(reason)
            case .end(let jobs): return finish(jobs)
            }
        }
    }

    private func nextStep() -> Machine.Step {
        state.withLock { state in
            let step = state.machine.next(random: &state.random)
            switch step {
            case .resume: instant.store(state.machine.now.nanoseconds, ordering: .releasing)
            case .wait, .waitBriefly: state.isParked = true
            case .run, .cancel, .cancelBody, .end: break
            }
            return step
        }
    }

    private func waitForSignal() {
        signal.lock(whenValue: 1)
        signal.unlock(withValue: 0)
    }

    private func waitForSignal(for patience: Duration) {
        guard signal.lock(whenValue: 1, timeoutSeconds: patience.inSeconds) else {
            state.withLock { state in
                // Otherwise another thread did something at this moment, and its signal ends the next wait.
                if state.unpark() { state.machine.patienceEnded() }
            }
            return
        }
        signal.unlock(withValue: 0)
    }

    private func wake() {
        signal.lock()
        signal.unlock(withValue: 1)
    }

    private func fail(_ reason: VirtualTimeFailure.Reason, _ problem: String? = nil) {
        let (waits, reporters, sleepers, jobs) = state.withLock { state in
            (
                state.waits.sorted { $0.key < $1.key }.map(\.value), state.reporters, state.machine.sleeperCount,
                state.jobsFromElsewhere
            )
        }
        var details = problem.map { [$0] } ?? []
        if reason == .nothingCanRun {
            if sleepers > 0 { details.append("\(sleepers) tasks sleep without an end") }
            if jobs > 1 {
                details.append("other threads resumed tasks \(jobs - 1) times: is the clock held while they work?")
            }
        }
        let failure = VirtualTimeFailure(
            reason: reason, instant: now, waiting: waits + reporters.compactMap { $0() },
            details: details.joined(separator: "; "))
        let cancel = state.withLock { state in
            state.failure = failure
            return state.cancelBody
        }
        cancel?()
    }

    private func finish(_ jobs: [Job]) {
        for case .task(let job) in jobs { globalConcurrentExecutor.enqueue(job) }
        let ended = state.withLock { state in
            state.cancelBody = nil
            state.reporters = []
            return state.ended.take()
        }
        ended?.resume()
    }
}

/// Work that virtual time will run.
package struct VirtualTimer: Sendable {
    let loop: VirtualTimeLoop
    let ticket: SleeperHeap<VirtualTimeLoop.Sleeper>.Ticket

    /// Drops the work. Does nothing if it has run.
    package func cancel() {
        loop.cancel(ticket)
    }
}

/// The result of a body.
private final class Outcome<Value: Sendable>: Sendable {
    private let result = Guarded<Result<Value, any Error>?>(nil)

    func end(_ result: Result<Value, any Error>) { self.result.withLock { $0 = result } }
    func take() -> Result<Value, any Error>? { result.withLock { $0.take() } }
}
