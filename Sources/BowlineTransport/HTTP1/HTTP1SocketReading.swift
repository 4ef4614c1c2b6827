internal import BowlineCore

/// Whether the connection reads its socket, and when it last has: reading stops while the reader of a body is behind.
///
/// | state | read requested | paused | resumed |
/// |---|---|---|---|
/// | reading | reads | paused | – |
/// | paused | paused, owes a read | – | reading |
/// | paused, owes a read | – | – | reading; reads |
struct HTTP1SocketReading {
    private(set) var isPaused = false
    private var owesRead = false
    /// When bytes last came.
    private(set) var lastRead = MonotonicInstant(nanoseconds: 0)

    enum Request {
        case reads
        case waits
    }

    /// The channel is asked to read.
    mutating func requested() -> Request {
        guard isPaused else { return .reads }
        owesRead = true
        return .waits
    }

    mutating func bytesRead(at instant: MonotonicInstant) {
        lastRead = instant
    }

    /// The reader is behind.
    mutating func pause() {
        isPaused = true
    }

    enum Resumption {
        /// It had not stopped.
        case nothing
        case goesOn
        /// As `goesOn`, and the channel reads now: it was asked to meanwhile.
        case reads
    }

    /// The reader has caught up, or the body is not read any more.
    mutating func resume() -> Resumption {
        guard isPaused else { return .nothing }
        isPaused = false
        defer { owesRead = false }
        return owesRead ? .reads : .goesOn
    }
}
