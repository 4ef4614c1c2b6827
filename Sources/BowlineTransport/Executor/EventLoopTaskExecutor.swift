internal import NIOCore
internal import NIOPosix

/// Runs tasks on an event loop: what awaits a response there costs no hop from one thread to another.
///
/// Tasks that run on it must not block, and a long computation holds up every connection of the loop.
package final class EventLoopTaskExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { [self] in
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }
}

/// The event loops of a client: their executors, their deadlines, and which of them the caller is on.
final class ClientLoops: Sendable {
    let group: any EventLoopGroup
    let executors: [EventLoopTaskExecutor]
    private let loops: [any EventLoop]
    private let sweeps: [DeadlineSweep]

    init(group: any EventLoopGroup, makeSweep: (any EventLoop) -> DeadlineSweep) {
        self.group = group
        loops = Array(group.makeIterator())
        executors = loops.map(EventLoopTaskExecutor.init)
        sweeps = loops.map(makeSweep)
    }

    /// The loop that the calling thread is, if it is one of this client's: its affinity.
    var currentAffinity: Int? {
        guard let current = MultiThreadedEventLoopGroup.currentEventLoop else { return nil }
        return index(of: current)
    }

    /// The loop of that affinity, or the next in turn.
    func loop(affinity: Int?) -> (loop: any EventLoop, affinity: Int) {
        if let affinity, loops.indices.contains(affinity) { return (loops[affinity], affinity) }
        let loop = group.next()
        return (loop, index(of: loop) ?? 0)
    }

    func sweep(affinity: Int) -> DeadlineSweep { sweeps[affinity] }

    private func index(of loop: any EventLoop) -> Int? {
        loops.firstIndex { $0 === loop }
    }
}
