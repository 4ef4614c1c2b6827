internal import BowlineCore
internal import NIOCore

/// Who has a deadline on an event loop.
protocol DeadlineEntry: AnyObject {
    /// When ``deadlinePassed(now:)`` is to be called; `distantFuture` for never. May change at any time; one that moves
    /// earlier has to be announced with ``DeadlineSweep/deadlineMovedEarlier(_:)``.
    var deadline: MonotonicInstant { get }
    /// The entry's place in the sweep; the sweep's own.
    var sweepIndex: Int { get set }
    /// The deadline has passed. Called on the loop.
    func deadlinePassed(now: MonotonicInstant)
}

/// All deadlines of one event loop under one coarse timer.
///
/// Deadlines are data: a request that begins, moves from phase to phase and ends costs no timer. The timer fires at the
/// earliest deadline that was known when it was set, looks at all entries, and is set anew. It fires at most every
/// ``granularity``, so a deadline is noticed that much late at the worst.
///
/// The timer is left running when the last entry goes, so that one request after another costs none; it ends with the
/// sweep.
// What every request touches is not checked for overlapping accesses (Docs/Decisions/unchecked-exclusivity.md): nothing that
// changes it in place calls out while it does.
// Safety: everything is touched on the sweep's loop only; `deinit` only cancels, which any thread may do.
final class DeadlineSweep: @unchecked Sendable {
    static let granularity = Duration.milliseconds(5)

    private let timer: LoopTimer
    @exclusivity(unchecked) private var entries: [any DeadlineEntry] = []
    @exclusivity(unchecked) private var nextSweep = MonotonicInstant.distantFuture
    private var scheduled: LoopTimer.Cancellation?
    /// Tells a sweep that was superseded from the current one.
    private var generation = 0

    init(timer: LoopTimer) {
        self.timer = timer
    }

    deinit {
        scheduled?()
    }

    var now: MonotonicInstant { timer.now }
    var clock: any ServiceClock { timer.clock }
    var count: Int { entries.count }

    func add(_ entry: any DeadlineEntry) {
        timer.eventLoop.assertInEventLoop()
        entry.sweepIndex = entries.count
        entries.append(entry)
        deadlineMovedEarlier(entry.deadline)
    }

    func remove(_ entry: any DeadlineEntry) {
        let index = entry.sweepIndex
        guard entries.indices.contains(index), entries[index] === entry else { return }
        entry.sweepIndex = -1
        let last = entries.removeLast()
        if last !== entry {
            entries[index] = last
            last.sweepIndex = index
        }
    }

    func deadlineMovedEarlier(_ deadline: MonotonicInstant) {
        guard deadline < nextSweep else { return }
        let now = timer.now
        schedule(at: max(deadline, now.advanced(by: Self.granularity)))
    }

    private func schedule(at instant: MonotonicInstant) {
        if instant >= nextSweep { return }
        scheduled?()
        generation += 1
        nextSweep = instant
        scheduled = timer.schedule(at: instant) { [weak self, generation] in
            self?.sweep(generation: generation)
        }
    }

    private func sweep(generation: Int) {
        guard generation == self.generation else { return }
        scheduled = nil
        nextSweep = .distantFuture
        let now = timer.now
        var earliest = MonotonicInstant.distantFuture
        var passed: [any DeadlineEntry] = []
        for entry in entries {
            let deadline = entry.deadline
            if deadline <= now { passed.append(entry) } else { earliest = min(earliest, deadline) }
        }
        for entry in passed where entry.sweepIndex >= 0 { entry.deadlinePassed(now: now) }
        for entry in passed where entry.sweepIndex >= 0 { earliest = min(earliest, entry.deadline) }
        if earliest < .distantFuture {
            schedule(at: max(earliest, now.advanced(by: Self.granularity)))
        }
    }
}
