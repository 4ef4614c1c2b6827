internal import NIOCore

/// Gives turns, one after another, to the connections of an event loop that have much to write. Between two turns the
/// loop does other work. Used on that loop only.
///
/// An event loop runs all due tasks before it polls its sockets again. Only one turn is scheduled at a time, and with a
/// delay, so that the loop polls its sockets regardless of how many connections write.
final class FaultTurns {
    private static let pause = TimeAmount.microseconds(100)

    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<() -> Void>()
    private var isScheduled = false

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Calls `turn` once, after the turns that were added before it, and not before this function has returned.
    func add(_ turn: @escaping () -> Void) {
        waiting.append(turn)
        if !isScheduled { schedule() }
    }

    private func schedule() {
        isScheduled = true
        eventLoop.assumeIsolated().scheduleTask(in: Self.pause) {
            self.waiting.popFirst()?()
            self.isScheduled = false
            if !self.waiting.isEmpty { self.schedule() }
        }
    }
}
