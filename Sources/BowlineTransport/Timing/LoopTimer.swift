internal import BowlineCore
internal import NIOCore

/// Wakes one event loop at an instant of the injected clock.
///
/// With the machine's own clock, this is the loop's own timer. With any other clock (in tests), a task sleeps on that
/// clock and then runs the action on the loop.
struct LoopTimer: Sendable {
    let eventLoop: any EventLoop
    let clock: any ServiceClock
    private let isMonotonic: Bool

    init(eventLoop: any EventLoop, clock: any ServiceClock) {
        self.eventLoop = eventLoop
        self.clock = clock
        isMonotonic = clock is MonotonicClock
    }

    var now: MonotonicInstant { clock.now }

    /// Runs `action` on the loop at `instant`. Returns a value that cancels it; cancelling late does nothing.
    func schedule(at instant: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> Cancellation {
        if isMonotonic {
            let deadline = NIODeadline.uptimeNanoseconds(UInt64(max(0, instant.nanoseconds)))
            let scheduled = eventLoop.scheduleTask(deadline: deadline, action)
            return Cancellation { scheduled.cancel() }
        }
        let task = Task.inheriting { [eventLoop, clock] in
            do { try await clock.sleep(until: instant, tolerance: nil) } catch { return }
            eventLoop.execute(action)
        }
        return Cancellation { task.cancel() }
    }

    /// Cancels one scheduled wake-up.
    struct Cancellation: Sendable {
        private let action: @Sendable () -> Void

        init(_ action: @escaping @Sendable () -> Void) {
            self.action = action
        }

        func callAsFunction() { action() }
    }
}
