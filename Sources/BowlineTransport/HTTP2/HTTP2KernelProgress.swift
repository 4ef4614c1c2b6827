internal import BowlineCore

/// How many bytes the channel was given, how many of them the kernel has accepted, and since when the channel is
/// blocked.
///
/// The kernel *accepts* bytes when it copies them into the send buffer of the socket. When that buffer is full, the
/// kernel accepts more bytes only after the peer has acknowledged some.
///
/// A flush completes when the kernel has accepted all of it, which may take long. Meanwhile, a fall in the number of
/// bytes that wait in the channel (`waiting`) shows that the kernel accepts bytes.
///
/// | event | writable | blocked |
/// |---|---|---|
/// | `becameBlocked` | blocked since now | – |
/// | `becameWritable` | – | writable |
/// | `observed`, fewer bytes wait than before | accepted now | accepted now |
/// | `acceptedFlush` | accepted now | accepted now |
struct HTTP2KernelProgress {
    /// How many bytes the channel has been given.
    private var givenBytes = 0
    /// How many of them the kernel had accepted at the last measurement.
    private var acceptedBytes = 0
    /// When this type last learnt that the kernel has accepted more.
    private var acceptedAt: MonotonicInstant
    /// Since when the channel has not been writable. nil: it is writable.
    private(set) var blockedSince: MonotonicInstant?

    init(now: MonotonicInstant) {
        acceptedAt = now
    }

    /// Records that the channel gets `count` bytes.
    mutating func passedToChannel(_ count: Int) {
        givenBytes += count
    }

    /// Restarts the measurement: bytes that the kernel accepted before this call do not count as progress.
    ///
    /// - Parameter waiting: How many bytes wait in the channel. With TLS, encryption adds some bytes to those that the
    ///   channel was given.
    mutating func mark(waiting: Int) {
        acceptedBytes = givenBytes - waiting
    }

    /// Records that the channel accepts no bytes for now.
    mutating func becameBlocked(waiting: Int, now: MonotonicInstant) {
        guard blockedSince == nil else { return }
        blockedSince = now
        mark(waiting: waiting)
    }

    /// Records that the channel accepts bytes again.
    mutating func becameWritable() {
        blockedSince = nil
    }

    /// Records that `waiting` bytes wait in the channel now. Returns whether the kernel has accepted some since the
    /// last call of this function or of ``mark(waiting:)``.
    mutating func observed(waiting: Int, now: MonotonicInstant) -> Bool {
        let accepted = givenBytes - waiting
        guard accepted > acceptedBytes else { return false }
        acceptedBytes = accepted
        acceptedAt = now
        return true
    }

    /// Records that the kernel has accepted a whole flush.
    mutating func acceptedFlush(now: MonotonicInstant) {
        acceptedAt = now
    }

    /// Whether this type has learnt after `instant` that the kernel has accepted bytes.
    func hasAccepted(since instant: MonotonicInstant) -> Bool { acceptedAt > instant }
}
