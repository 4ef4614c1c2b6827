internal import BowlineCore

/// How many bytes the channel was given, how many of them the network has taken, and since when the channel is blocked.
///
/// A flush completes when the network has taken all of it, which may take long. Meanwhile, a fall in the number of
/// bytes that wait in the channel (`waiting`) shows that the network takes bytes.
///
/// | event | writable | blocked |
/// |---|---|---|
/// | `becameBlocked` | blocked since now | – |
/// | `becameWritable` | – | writable |
/// | `observed`, fewer bytes wait than before | moved now | moved now |
/// | `tookFlush` | moved now | moved now |
struct HTTP2NetworkProgress {
    /// How many bytes the channel has been given.
    private var givenBytes = 0
    /// How many of them the network had taken at the last look.
    private var takenBytes = 0
    /// When the network was last seen to have taken more.
    private var movedAt: MonotonicInstant
    /// Since when the channel has not been writable. nil: it is writable.
    private(set) var blockedSince: MonotonicInstant?

    init(now: MonotonicInstant) {
        movedAt = now
    }

    /// Records that the channel gets `count` bytes.
    mutating func passedToChannel(_ count: Int) {
        givenBytes += count
    }

    /// Restarts the measurement: bytes that the network took before this call do not count as progress.
    ///
    /// - Parameter waiting: How many bytes wait in the channel. With TLS, encryption adds some bytes to those that the
    ///   channel was given.
    mutating func mark(waiting: Int) {
        takenBytes = givenBytes - waiting
    }

    /// Records that the channel takes no bytes for now.
    mutating func becameBlocked(waiting: Int, now: MonotonicInstant) {
        guard blockedSince == nil else { return }
        blockedSince = now
        mark(waiting: waiting)
    }

    /// Records that the channel takes bytes again.
    mutating func becameWritable() {
        blockedSince = nil
    }

    /// Records that `waiting` bytes wait in the channel now. Returns whether the network has taken some since the last
    /// look.
    mutating func observed(waiting: Int, now: MonotonicInstant) -> Bool {
        let taken = givenBytes - waiting
        guard taken > takenBytes else { return false }
        takenBytes = taken
        movedAt = now
        return true
    }

    /// Records that the network has taken a whole flush.
    mutating func tookFlush(now: MonotonicInstant) {
        movedAt = now
    }

    /// Whether the network was seen to have taken bytes after `instant`.
    func hasMoved(since instant: MonotonicInstant) -> Bool { movedAt > instant }
}
