import Dispatch
import Foundation
import Synchronization

/// Runs an actor on a thread of its own, so that the actor may call functions that block.
///
/// The threads of Swift's cooperative pool must not block: there are as many as cores, and all tasks share them.
final class StoreThread: SerialExecutor {
    private let jobs = Jobs()

    /// Starts the thread. It ends when the executor is released.
    init(name: String) {
        let jobs = jobs
        let thread = Thread { jobs.run() }
        thread.name = name
        thread.start()
    }

    deinit { jobs.add(nil) }

    func enqueue(_ job: consuming ExecutorJob) {
        jobs.add(Jobs.Job(job: UnownedJob(job), executor: asUnownedSerialExecutor()))
    }

    /// What the thread has to do. The thread holds this object and not the executor, so that the executor can be released.
    private final class Jobs: Sendable {
        struct Job: Sendable {
            let job: UnownedJob
            let executor: UnownedSerialExecutor
        }

        private let waiting = Mutex<[Job?]>([])
        private let count = DispatchSemaphore(value: 0)

        /// Adds a job; nil: the thread ends.
        func add(_ job: Job?) {
            waiting.withLock { $0.append(job) }
            count.signal()
        }

        func run() {
            while true {
                count.wait()
                // Invariant: each signal comes after its job.
                guard let job = waiting.withLock({ $0.removeFirst() }) else { return }
                job.job.runSynchronously(on: job.executor)
            }
        }
    }
}
