import BowlineCore
import Dispatch
import Synchronization
import Testing

@testable import BowlineTransport

/// A task that is cancelled between the grant of a connection and its own next step.
@Suite(.timeLimit(.minutes(1))) struct CancelledGrantTests {
    let clock = ManualClock()
    let dialer = ScriptedDialer()

    @Test(
        "SH2: a lease that is granted to a cancelled task is returned, and its connection learns that it is unused"
    )
    func cancelledWhenGranted() async throws {
        let pool = dialer.makePool(clock)
        let executor = PausingExecutor()
        let task = Task(executorPreference: executor) { try await pool.lease().connection }
        let id = await dialer.dials(1)
        await pool.waiting(1)
        // The task that the grant resumes does not run until it is cancelled.
        executor.pause()
        let connection = ScriptedConnection(id, affinity: 0)
        pool.connectionEstablished(connection)
        #expect(pool.snapshot().active == 1)
        task.cancel()
        #expect(connection.unusedLeases.load(ordering: .relaxed) == 0)
        executor.resume()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(connection.unusedLeases.load(ordering: .relaxed) == 1)
        #expect(pool.snapshot().idle == 1)
        #expect(pool.snapshot().active == 0)
    }

    @Test("A lease that is used is not reported as unused")
    func used() async throws {
        let pool = dialer.makePool(clock)
        dialer.setMode(.succeedAtOnce)
        let lease = try await pool.lease()
        pool.returnUnused(lease.connection)
        #expect(try lease.scripted.unusedLeases.load(ordering: .relaxed) == 0)
    }
}

/// Runs tasks, but none while it is paused.
private final class PausingExecutor: TaskExecutor {
    private struct State {
        var isPaused = false
        var jobs: [UnownedJob] = []
    }

    private let state = Guarded(State())

    func pause() {
        state.withLock { $0.isPaused = true }
    }

    func resume() {
        let jobs = state.withLock { state in
            state.isPaused = false
            defer { state.jobs = [] }
            return state.jobs
        }
        for job in jobs { run(job) }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isPaused = state.withLock { state in
            if state.isPaused { state.jobs.append(job) }
            return state.isPaused
        }
        if !isPaused { run(job) }
    }

    func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }

    private func run(_ job: UnownedJob) {
        DispatchQueue.global().async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
