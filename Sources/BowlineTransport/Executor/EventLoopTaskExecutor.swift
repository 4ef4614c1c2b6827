internal import NIOCore
internal import NIOPosix

/// Runs tasks on an event loop: what awaits a response there costs no hop from one thread to another.
///
/// Tasks that run on it must not block, and a long computation holds up every connection of the loop. Tasks that wake each
/// other without end, or yield, do not: now and then they pause until the loop has looked at its sockets.
package final class EventLoopTaskExecutor: TaskExecutor {
    /// How often ready tasks run in a row before the sockets get their turn: the loop itself would run tasks to the last.
    private static let roundsInARow = 64
    /// How long they then pause, at least. Less would have passed before the loop looks.
    private static let shortestPause = TimeAmount.microseconds(20)
    /// And at least so many times what a round took: the loop runs timers that are due before it looks at its sockets, so on a
    /// slow machine a short pause would be none.
    private static let roundsInPause: Int64 = 4
    private static let longestPause = TimeAmount.milliseconds(10)

    private let eventLoop: any EventLoop
    // Safety: touched on the loop only.
    @exclusivity(unchecked) private nonisolated(unsafe) var ready = CircularBuffer<UnownedJob>()
    // Safety: touched on the loop only.
    @exclusivity(unchecked) private nonisolated(unsafe) var isScheduled = false
    // Safety: touched on the loop only.
    @exclusivity(unchecked) private nonisolated(unsafe) var isRunning = false
    // Safety: touched on the loop only.
    @exclusivity(unchecked) private nonisolated(unsafe) var rounds = 0
    // Safety: touched on the loop only.
    @exclusivity(unchecked) private nonisolated(unsafe) var lastRound = LastRound()

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if eventLoop.inEventLoop {
            ready.append(job)
            if !isRunning { scheduleRun() }
        } else {
            eventLoop.execute {
                self.ready.append(job)
                if !self.isScheduled { self.runReady() }
            }
        }
    }

    /// Runs the tasks that are ready, on the loop; those that become ready meanwhile run later.
    func runReady() {
        guard !isRunning, !ready.isEmpty else { return }
        isRunning = true
        for _ in 0..<ready.count {
            guard let job = ready.popFirst() else { break }
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
        isRunning = false
        if !ready.isEmpty { scheduleRun() }
    }

    private func scheduleRun() {
        guard !isScheduled else { return }
        isScheduled = true
        if rounds < Self.roundsInARow {
            rounds += 1
            if rounds == Self.roundsInARow { lastRound.began = .now() }
            eventLoop.execute { self.run() }
        } else {
            rounds = 0
            eventLoop.assumeIsolated().scheduleTask(in: pause) { self.run() }
        }
    }

    private var pause: TimeAmount {
        min(max(Self.shortestPause, lastRound.duration * Self.roundsInPause), Self.longestPause)
    }

    private func run() {
        isScheduled = false
        if rounds == Self.roundsInARow { lastRound.duration = .now() - lastRound.began }
        runReady()
        if ready.isEmpty { rounds = 0 }
    }

    package func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }
}

/// The round before a pause: from when it was asked for until the loop came to it.
private struct LastRound {
    var began = NIODeadline.uptimeNanoseconds(0)
    var duration = TimeAmount.zero
}

/// The event loops of a client: their executors, their deadlines, and which of them the caller is on.
final class ClientLoops: Sendable {
    let group: any EventLoopGroup
    let executors: [EventLoopTaskExecutor]
    /// One for each loop, for all clients: were there several, the pause of one would be filled by the rounds of another, and
    /// the loop would not look at its sockets.
    private static let executorsOfSingleton =
        MultiThreadedEventLoopGroup.singleton.makeIterator().map(EventLoopTaskExecutor.init)

    private let loops: [any EventLoop]
    private let sweeps: [DeadlineSweep]

    init(group: any EventLoopGroup, makeSweep: (any EventLoop) -> DeadlineSweep) {
        self.group = group
        loops = Array(group.makeIterator())
        executors =
            SingletonLoops.isGroup(group) ? Self.executorsOfSingleton : loops.map(EventLoopTaskExecutor.init)
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
    func executor(affinity: Int) -> EventLoopTaskExecutor { executors[affinity] }

    private func index(of loop: any EventLoop) -> Int? {
        loops.firstIndex { $0 === loop }
    }
}
