import Bowline
import BowlineTesting
import NIOPosix

/// Runs tasks until a test holds it. While it is held, jobs that become ready wait, so that a test can act between two
/// steps of a task that no event separates.
final class HeldExecutor: TaskExecutor {
    private struct State {
        var isHolding = false
        var held: [UnownedJob] = []
        var running = 0
    }

    private let state = Guarded(State())

    /// The number of jobs that are ready and held.
    var heldCount: Int { state.withLock { $0.held.count } }

    /// No job runs or is about to: every task has got as far as it can without another event.
    var isQuiet: Bool { state.withLock { $0.running == 0 } }

    /// From now on no job begins to run.
    func hold() {
        state.withLock { $0.isHolding = true }
    }

    /// Runs the held jobs and all later ones.
    func release() {
        let jobs = state.withLock { state in
            state.isHolding = false
            state.running += state.held.count
            defer { state.held = [] }
            return state.held
        }
        for job in jobs { run(job) }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isHeld = state.withLock { state in
            if state.isHolding { state.held.append(job) } else { state.running += 1 }
            return state.isHolding
        }
        if !isHeld { run(job) }
    }

    func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }

    private func run(_ job: UnownedJob) {
        NIOThreadPool.singleton.submit { [self] _ in
            job.runSynchronously(on: asUnownedTaskExecutor())
            state.withLock { $0.running -= 1 }
        }
    }
}
