internal import BowlineCore

/// How much the channel has been given, how much of it the network has taken, and since when the channel takes nothing.
///
/// A flush tells when all of it has gone out, which may take long. Between, the channel says how many bytes wait in it
/// (`waiting`), and the difference shows whether the network moves.
///
/// | event | writable | blocked |
/// |---|---|---|
/// | `becameBlocked` | blocked since now | – |
/// | `becameWritable` | – | writable |
/// | `looked`, fewer wait than before | moved now | moved now |
/// | `tookFlush` | moved now | moved now |
struct HTTP2NetworkProgress {
    /// How many bytes the channel has been given.
    private var givenBytes = 0
    /// How many of them the network had taken when that was last looked at.
    private var takenBytes = 0
    /// When the network was last found to have taken more.
    private var movedAt: MonotonicInstant
    /// Since when the channel has not been writable; nil if it is.
    private(set) var blockedSince: MonotonicInstant?

    init(now: MonotonicInstant) {
        movedAt = now
    }

    /// The channel gets so many bytes.
    mutating func gave(_ count: Int) {
        givenBytes += count
    }

    /// Counts from here on: what the network has taken before is no progress.
    ///
    /// - Parameter waiting: How many bytes wait in the channel; with TLS a little more than those that it was given.
    mutating func mark(waiting: Int) {
        takenBytes = givenBytes - waiting
    }

    /// The channel takes nothing for now.
    mutating func becameBlocked(waiting: Int, now: MonotonicInstant) {
        guard blockedSince == nil else { return }
        blockedSince = now
        mark(waiting: waiting)
    }

    /// The channel takes bytes again.
    mutating func becameWritable() {
        blockedSince = nil
    }

    /// So many bytes wait in the channel now. Whether the network has taken some since this was last looked at.
    mutating func looked(waiting: Int, now: MonotonicInstant) -> Bool {
        let taken = givenBytes - waiting
        guard taken > takenBytes else { return false }
        takenBytes = taken
        movedAt = now
        return true
    }

    /// The network has taken a whole flush.
    mutating func tookFlush(now: MonotonicInstant) {
        movedAt = now
    }

    /// Whether the network was found to have taken some after `instant`.
    func hasMoved(since instant: MonotonicInstant) -> Bool { movedAt > instant }
}
