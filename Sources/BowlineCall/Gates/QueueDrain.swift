internal import BowlineCore

/// How fast a queue is served, measured since it was last empty.
struct QueueDrain {
    /// How many attempts make a block.
    private static let block = 16

    private var previousBlockBegan: MonotonicInstant?
    private var blockBegan: MonotonicInstant?
    private var count = 0

    /// An attempt has ended while others waited.
    mutating func attemptEnded(at now: MonotonicInstant) {
        guard blockBegan != nil else {
            blockBegan = now
            return
        }
        count += 1
        guard count == Self.block else { return }
        previousBlockBegan = blockBegan
        blockBegan = now
        count = 0
    }

    /// The queue is empty.
    mutating func queueEmptied() {
        if blockBegan != nil { self = QueueDrain() }
    }

    /// The average time between two attempts that end, from the last 16 to 31 of them; nil: fewer than 16 have ended
    /// since the queue was empty, or the clock stands still.
    func interval(at now: MonotonicInstant) -> Duration? {
        guard let previousBlockBegan else { return nil }
        let interval = previousBlockBegan.duration(to: now) / (Self.block + count)
        return interval > .zero ? interval : nil
    }
}
