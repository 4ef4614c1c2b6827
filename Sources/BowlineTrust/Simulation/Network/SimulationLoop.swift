internal import BowlineCore
internal import BowlineTesting
internal import Dispatch
internal import NIOCore

/// An event loop on virtual time. Its jobs run in turns, as on a real loop, on the one thread of the simulation.
///
/// `inEventLoop` is true only during a turn. So code that runs in a caller's task switches to the loop as it does
/// outside of a simulation, and its job runs later.
// Safety: used on the simulation's thread only.
final class SimulationLoop: EventLoop, @unchecked Sendable {
    private let time: VirtualTime
    private var jobs = CircularBuffer<() -> Void>()
    private var isTurnDue = false
    private(set) var inEventLoop = false
    /// How many turns the loop has made.
    private(set) var turns = 0
    /// Called after each turn, outside of the loop.
    var afterTurn: () -> Void = {}

    init(_ time: VirtualTime) {
        self.time = time
    }

    var now: NIODeadline { .uptimeNanoseconds(UInt64(max(0, time.now.nanoseconds))) }

    // MARK: Jobs

    func execute(_ task: @escaping @Sendable () -> Void) { perform(task) }

    /// Runs a job in the next turn.
    func perform(_ job: @escaping () -> Void) {
        jobs.append(job)
        guard !isTurnDue else { return }
        isTurnDue = true
        time.execute { self.turn() }
    }

    /// Runs the jobs that wait. Jobs that they add run in the next turn.
    private func turn() {
        inEventLoop = true
        for _ in 0..<jobs.count { jobs.popFirst()?() }
        inEventLoop = false
        turns += 1
        isTurnDue = false
        if !jobs.isEmpty {
            isTurnDue = true
            time.execute { self.turn() }
        }
        afterTurn()
    }

    // MARK: Timers

    /// Runs a job in a turn at `instant` or later.
    func schedule(at instant: MonotonicInstant, _ job: @escaping @Sendable () -> Void) {
        time.schedule(at: instant) { self.perform(job) }
    }

    /// Runs a job after `delay`.
    func schedule(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
        schedule(at: time.now.advanced(by: delay), job)
    }

    /// Uses a task, because a task learns that the simulation ends, and the promise must be kept.
    @discardableResult
    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let promise = makePromise(of: T.self)
        let instant = MonotonicInstant(nanoseconds: Int64(clamping: deadline.uptimeNanoseconds))
        let timer = Task.detachedInheriting { [time] in
            do {
                try await time.sleep(until: instant)
            } catch {
                promise.fail(EventLoopError.cancelled)
                return
            }
            self.perform {
                do {
                    promise.assumeIsolated().succeed(try task())
                } catch {
                    promise.fail(error)
                }
            }
        }
        return Scheduled(promise: promise) { timer.cancel() }
    }

    @discardableResult
    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        scheduleTask(deadline: now + delay, task)
    }

    /// Does nothing but call back: the loop has no thread and no descriptor.
    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(nil) }
    }
}

/// The event loops of a simulated client, which get new connections in turn.
// Safety: used on the simulation's thread only.
final class SimulationLoops: EventLoopGroup, @unchecked Sendable {
    let loops: [SimulationLoop]
    private var taken = 0

    /// - Parameter count: How many loops there are, at least 1.
    init(count: Int, _ time: VirtualTime) {
        loops = (0..<max(1, count)).map { _ in SimulationLoop(time) }
    }

    func next() -> any EventLoop {
        taken += 1
        return loops[(taken - 1) % loops.count]
    }

    func makeIterator() -> EventLoopIterator { EventLoopIterator(loops) }

    /// Does nothing but call back.
    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(nil) }
    }
}
