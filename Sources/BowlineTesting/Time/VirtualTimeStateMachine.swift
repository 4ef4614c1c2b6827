internal import BowlineCore
internal import NIOCore

/// Decides what happens next in virtual time: which job runs, when the clock jumps, and when the run is stuck.
///
/// | phase | what it means | where it goes |
/// |---|---|---|
/// | running | the body runs | failing, closing |
/// | failing | the run was stuck once, and the body was cancelled | closing |
/// | closing | the body has ended or was given up; what it left behind is cancelled | ended |
/// | ended | nothing runs here any more | |
///
/// The clock jumps only when no job is ready, no task waits for the others to settle, and no work holds the clock.
struct VirtualTimeStateMachine<Job: Sendable, Sleeper: Sendable>: Sendable {
    typealias Ticket = SleeperHeap<Sleeper>.Ticket

    enum Phase: String, Sendable, CaseIterable {
        case running, failing, closing, ended
    }

    /// What the thread does next.
    enum Step: Sendable {
        case run(Job)
        /// The sleepers are due, in this order.
        case resume([Sleeper])
        /// The run is over for these sleepers: cancel their sleep.
        case cancel([Sleeper])
        /// Wait until another thread does something.
        case wait
        /// As `wait`, but only for a short real time. Then ``patienceEnded()``.
        case waitBriefly
        /// The run is stuck: cancel the body.
        case cancelBody(VirtualTimeFailure.Reason)
        /// The run is over. These jobs run elsewhere.
        case end([Job])
    }

    /// Where a job goes.
    enum Placement: Sendable {
        case queued
        /// The run is over: the job runs on another executor.
        case elsewhere
    }

    /// What becomes of a sleep.
    enum SleepStart: Sendable {
        case waits
        /// The deadline has passed.
        case over
        /// The ticket was withdrawn.
        case cancelled
        /// The run is over: the sleep takes its time on the machine's clock.
        case real
    }

    private(set) var phase = Phase.running
    private(set) var now: MonotonicInstant
    /// How many jobs have run.
    private(set) var jobsRun = 0
    private let order: VirtualTime.JobOrder
    private let limits: VirtualTimeLimits
    private var end: MonotonicInstant
    private var ready = CircularBuffer<Job>()
    private var sleepers = SleeperHeap<Sleeper>()
    private var settling: [Sleeper] = []
    private var holds = 0
    private var jobsAtInstant = 0
    private var isOutOfPatience = false

    init(start: MonotonicInstant, order: VirtualTime.JobOrder, limits: VirtualTimeLimits) {
        now = start
        self.order = order
        self.limits = limits
        end = limits.end
    }

    /// The number of tasks that sleep now.
    var sleeperCount: Int { sleepers.count }

    // MARK: Events

    mutating func jobBecameReady(_ job: Job) -> Placement {
        guard phase != .ended else { return .elsewhere }
        isOutOfPatience = false
        ready.append(job)
        return .queued
    }

    mutating func reserveSleep() -> Ticket { sleepers.reserve() }

    mutating func sleepBegan(_ sleeper: Sleeper, _ ticket: Ticket, until deadline: MonotonicInstant) -> SleepStart {
        if deadline <= now {
            _ = sleepers.withdraw(ticket)
            return .over
        }
        guard phase == .running || phase == .failing else {
            _ = sleepers.withdraw(ticket)
            return .real
        }
        isOutOfPatience = false
        return sleepers.insert(sleeper, ticket, until: deadline) ? .waits : .cancelled
    }

    /// - Returns: the sleeper to resume; nil: the sleep has ended, or had not begun.
    mutating func sleepCancelled(_ ticket: Ticket) -> Sleeper? { sleepers.withdraw(ticket) }

    /// A task waits until no other job is ready.
    ///
    /// - Returns: false: it need not wait, because the run is over.
    mutating func settlingBegan(_ sleeper: Sleeper) -> Bool {
        guard phase == .running || phase == .failing else { return false }
        settling.append(sleeper)
        return true
    }

    mutating func holdBegan() { holds += 1 }

    mutating func holdEnded() {
        holds -= 1
        isOutOfPatience = false
    }

    /// The short wait for other threads was in vain.
    mutating func patienceEnded() { isOutOfPatience = true }

    mutating func bodyEnded() {
        guard phase != .ended else { return }
        phase = .closing
        jobsAtInstant = 0
    }

    /// Ends the run now. Returns the jobs that are ready, which run elsewhere.
    mutating func abandon() -> [Job] {
        phase = .ended
        defer { ready = CircularBuffer() }
        return Array(ready)
    }

    // MARK: The next step

    /// Decides the next step.
    ///
    /// - Parameter random: Chooses among the ready jobs if their order is `.shuffled`.
    mutating func next(random: inout SeededRandom) -> Step {
        switch phase {
        case .running, .failing: nextWhileRunning(&random)
        case .closing: nextWhileClosing(&random)
        case .ended: .end([])
        }
    }

    private mutating func nextWhileRunning(_ random: inout SeededRandom) -> Step {
        if !ready.isEmpty {
            guard jobsAtInstant < limits.jobsPerInstant else { return stuck(.spinning, &random) }
            if let job = takeJob(&random) { return .run(job) }
        }
        if !settling.isEmpty {
            let settled = inOrder(settling, &random)
            settling = []
            return .resume(settled)
        }
        if holds > 0 { return .wait }
        // A sleep until the distant future never ends by itself.
        if let deadline = sleepers.earliest, deadline < .distantFuture {
            guard deadline <= end else { return stuck(.limitPassed, &random) }
            now = deadline
            jobsAtInstant = 0
            // Before the call of `inOrder`, whose evaluation begins with a copy of the machine: then the heap would be copied.
            let due = sleepers.removeDue(at: deadline)
            return .resume(inOrder(due, &random))
        }
        return isOutOfPatience ? stuck(.nothingCanRun, &random) : .waitBriefly
    }

    private mutating func nextWhileClosing(_ random: inout SeededRandom) -> Step {
        let left = settling + sleepers.removeDue(at: .distantFuture)
        settling = []
        if !left.isEmpty { return .cancel(left) }
        if jobsAtInstant < limits.closingJobs, let job = takeJob(&random) { return .run(job) }
        return .end(abandon())
    }

    private func inOrder(_ sleepers: [Sleeper], _ random: inout SeededRandom) -> [Sleeper] {
        order == .shuffled ? sleepers.shuffled(using: &random) : sleepers
    }

    private mutating func takeJob(_ random: inout SeededRandom) -> Job? {
        if order == .shuffled, ready.count > 1 {
            let chosen = random.next(in: 0..<ready.count)
            ready.swapAt(ready.startIndex, ready.index(ready.startIndex, offsetBy: chosen))
        }
        guard let job = ready.popFirst() else { return nil }
        jobsRun += 1
        jobsAtInstant += 1
        return job
    }

    /// The first time, the body is cancelled and may end. The second time, it is given up.
    private mutating func stuck(_ reason: VirtualTimeFailure.Reason, _ random: inout SeededRandom) -> Step {
        jobsAtInstant = 0
        isOutOfPatience = false
        guard phase == .running else {
            phase = .closing
            return nextWhileClosing(&random)
        }
        phase = .failing
        end = max(end, now.advanced(by: limits.grace))
        return .cancelBody(reason)
    }
}

/// The bounds of one run.
struct VirtualTimeLimits: Sendable {
    /// How far the clock may go.
    var end: MonotonicInstant
    /// How far the clock may go after the body was cancelled, at least.
    var grace = Duration.seconds(3600)
    /// How many jobs may run while the clock stands still. If there are more, a loop never waits.
    var jobsPerInstant = 20_000_000
    /// How many jobs may run after the end of the body.
    var closingJobs = 1_000_000
}
