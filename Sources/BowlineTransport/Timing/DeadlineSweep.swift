internal import BowlineCore
internal import NIOCore

/// An object that has a deadline on an event loop.
protocol DeadlineEntry: AnyObject {
    /// The instant at which ``deadlinePassed(now:)`` is to be called; `distantFuture`: never. May change at any time.
    /// Announce an earlier deadline with ``DeadlineSweep/deadlineMovedEarlier(_:)``.
    var deadline: MonotonicInstant { get }
    /// The entry's index in the sweep. Only the sweep uses it.
    var sweepIndex: Int { get set }
    /// Called on the loop when the deadline has passed.
    func deadlinePassed(now: MonotonicInstant)
}

/// Checks all deadlines of one event loop with one coarse timer.
///
/// A deadline is only a value: a request that begins, changes its phase and ends needs no timer of its own. The timer
/// fires at the earliest deadline that was known when it was set, checks all entries, and is set again. It fires at
/// most once per ``granularity``, so a deadline is noticed at most that much too late.
///
/// The timer keeps running when the last entry leaves, so that a series of single requests needs no new timer. The
/// timer ends with the sweep.
// The properties that every request uses are not checked for overlapping accesses
// (Docs/Decisions/unchecked-exclusivity.md). So code that changes one of them in place calls no other code during the
// change.
// Safety: all state is used on the sweep's loop only; `deinit` only cancels, which any thread may do.
final class DeadlineSweep: @unchecked Sendable {
    static let granularity = Duration.milliseconds(5)

    let timer: LoopTimer
    @exclusivity(unchecked) private var entries: [any DeadlineEntry] = []
    /// When the timer fires.
    @exclusivity(unchecked) private(set) var nextSweep = MonotonicInstant.distantFuture
    private var scheduled: LoopTimer.Cancellation?
    /// Distinguishes the current sweep from replaced ones.
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
