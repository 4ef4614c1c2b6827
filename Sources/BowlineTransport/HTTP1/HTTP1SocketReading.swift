internal import BowlineCore

/// Whether the connection reads its socket, and when it last read bytes. Reading pauses while the reader of a body is
/// behind.
///
/// | state | read requested | paused | resumed |
/// |---|---|---|---|
/// | reading | reads | paused | – |
/// | paused | paused, must read later | – | reading |
/// | paused, must read later | – | – | reading; reads |
struct HTTP1SocketReading {
    private(set) var isPaused = false
    private var hasPendingRead = false
    /// When bytes last arrived.
    private(set) var lastRead = MonotonicInstant(nanoseconds: 0)

    enum Request {
        case reads
        case waits
    }

    /// Records that the channel is asked to read. Returns whether it may read now.
    mutating func requested() -> Request {
        guard isPaused else { return .reads }
        hasPendingRead = true
        return .waits
    }

    mutating func bytesRead(at instant: MonotonicInstant) {
        lastRead = instant
    }

    /// Pauses reading: the reader is behind.
    mutating func pause() {
        isPaused = true
    }

    enum Resumption {
        /// Reading was not paused.
        case nothing
        case goesOn
        /// Like `goesOn`, but the channel must also read now, because it was asked to read while reading was paused.
        case reads
    }

    /// Resumes reading: the reader has caught up, or the body is not read any more.
    mutating func resume() -> Resumption {
        guard isPaused else { return .nothing }
        isPaused = false
        defer { hasPendingRead = false }
        return hasPendingRead ? .reads : .goesOn
    }
}
