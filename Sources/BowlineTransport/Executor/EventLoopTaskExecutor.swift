internal import NIOCore
internal import NIOPosix

/// Runs tasks on an event loop, so that awaiting a response there needs no switch between threads.
///
/// Tasks on this executor must not block. A long computation delays every connection of the loop. Tasks that yield, or
/// that wake each other endlessly, do not delay the connections: from time to time the executor pauses these tasks
/// until the loop has checked its sockets.
package final class EventLoopTaskExecutor: TaskExecutor {
    /// How many rounds of ready tasks run before the loop checks its sockets. Without this limit, the loop would run
    /// tasks until none is ready.
    private static let roundsInARow = 64
    /// The shortest pause. A shorter one would be over before the loop checks its sockets.
    private static let shortestPause = TimeAmount.microseconds(20)
    /// The pause is also at least this many times as long as a round. The loop runs due timers before it checks its
    /// sockets. So on a slow machine, a short pause would be over before the loop checks the sockets.
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

    /// Runs the ready tasks. Call this on the loop. Tasks that become ready meanwhile run later.
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

/// The times of the round before a pause: when the round was requested, and how long it took until the loop began it.
private struct LastRound {
    var began = NIODeadline.uptimeNanoseconds(0)
    var duration = TimeAmount.zero
}

/// The event loops of a client: their executors, deadline sweeps and connectors, and which of them the caller runs on.
final class ClientLoops: Sendable {
    let group: any EventLoopGroup
    let executors: [EventLoopTaskExecutor]
    /// One executor for each loop, shared by all clients. If a loop had several executors, one would run tasks during
    /// the pause of another, and the loop would not check its sockets.
    private static let executorsOfSingleton =
        MultiThreadedEventLoopGroup.singleton.makeIterator().map(EventLoopTaskExecutor.init)

    private let loops: [any EventLoop]
    private let sweeps: [DeadlineSweep]
    private let connectors: [Connector]

    init(group: any EventLoopGroup, makeSweep: (any EventLoop) -> DeadlineSweep) {
        self.group = group
        loops = Array(group.makeIterator())
        executors =
            SingletonLoops.isGroup(group) ? Self.executorsOfSingleton : loops.map(EventLoopTaskExecutor.init)
        sweeps = loops.map(makeSweep)
        connectors = loops.map(Connector.init)
    }

    /// The affinity of the calling thread: the index of its loop; nil: the thread runs none of this client's loops.
    var currentAffinity: Int? {
        guard let current = MultiThreadedEventLoopGroup.currentEventLoop else { return nil }
        return index(of: current)
    }

    /// Returns the loop with this affinity. If `affinity` is nil or unknown, returns the next of the client's loops.
    func loop(affinity: Int?) -> (loop: any EventLoop, affinity: Int) {
        if let affinity, loops.indices.contains(affinity) { return (loops[affinity], affinity) }
        let loop = group.next()
        return (loop, index(of: loop) ?? 0)
    }

    func sweep(affinity: Int) -> DeadlineSweep { sweeps[affinity] }
    func executor(affinity: Int) -> EventLoopTaskExecutor { executors[affinity] }

    /// Returns what opens sockets on `loop`.
    func connector(of loop: any EventLoop) -> Connector {
        index(of: loop).map { connectors[$0] } ?? Connector(loop)
    }

    private func index(of loop: any EventLoop) -> Int? {
        loops.firstIndex { $0 === loop }
    }
}
