internal import NIOCore

/// Gives one turn after another to connections of an event loop that have much to write, and the loop to others between
/// two turns. Used on that loop only.
///
/// An event loop does all that is due before it looks at its sockets again. Only one turn is scheduled at a time, and later
/// than now, so that the loop comes to its sockets however many connections write.
final class FaultTurns {
    private static let pause = TimeAmount.microseconds(100)

    private let eventLoop: any EventLoop
    private var waiting = CircularBuffer<() -> Void>()
    private var isScheduled = false

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Calls `turn` once, later, after those that came before.
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
