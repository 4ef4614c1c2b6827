internal import NIOCore

/// The state of a stream that can be read once: its kept chunks, the waiter for more, and the pull under way.
///
/// | state | wait | chunk pulled | end pulled | pull failed | abandon |
/// |---|---|---|---|---|---|
/// | idle | kept chunk, or pulling | – | – | – | failed(cancelled) |
/// | pulling | kept chunk, or waits for the pull | idle | ended | failed | failed(cancelled), pull cancelled |
/// | ended | kept chunk, or the end | – | – | – | ended |
/// | failed | kept chunk, or the error | ignored | ignored | ignored | failed |
///
/// Pulls are numbered: the task of a pull may be known only after the pull has ended and the next has begun.
///
/// Pure: the machine keeps waiters and pulls and hands them back, and never looks at them.
struct OneShotBodyState<Waiter: Sendable, Pull: Sendable>: Sendable {
    /// A reader's result at its place.
    enum Step: Sendable {
        /// Bytes, and where the reader is after them.
        case chunk(ByteBuffer, next: OneShotPosition)
        case ended
        case failed(any Error)
        case wait
    }

    private enum Outcome: Sendable {
        case ended
        case failed(any Error)
    }

    private struct Waiting: Sendable {
        let number: Int
        let position: OneShotPosition
        let waiter: Waiter
    }

    /// The chunks that were read and may be read again, or were not read yet.
    private var kept = ChunkQueue()
    /// How many chunks were dropped in front of the kept ones.
    private var dropped = 0
    private var limit = 65_536
    private var isCommitted = false
    private var hasReader = false
    private var outcome: Outcome?
    private var isPulling = false
    private var pulls = 0
    private var pull: Pull?
    private var waiting: Waiting?
    private var waits = 0

    /// How much memory the kept chunks hold.
    var heldBytes: Int { kept.heldBytes }
    /// How many chunks are kept.
    var keptChunks: Int { kept.count }

    /// Whether a reader could still start from the first byte.
    var isReplayable: Bool { !isCommitted }

    /// Starts a reader at the first byte. False if that is gone.
    ///
    /// - Parameter replayLimit: How many bytes are kept for another reader.
    mutating func beginReading(replayLimit: Int) -> Bool {
        // A response may have begun, and replay been given up, before the first reader is there.
        let isFirst = !hasReader && outcome == nil
        guard isFirst || !isCommitted else { return false }
        hasReader = true
        limit = replayLimit
        return true
    }

    /// Gives up replay: from now on chunks are dropped as soon as they are read.
    mutating func commit() {
        isCommitted = true
    }

    /// Gives the body up.
    ///
    /// - Returns: the waiter to fail, and the pull to cancel.
    mutating func abandon() -> (waiter: Waiter?, pull: Pull?) {
        isCommitted = true
        outcome = outcome ?? .failed(CancellationError())
        kept = ChunkQueue()
        let waiter = waiting?.waiter
        waiting = nil
        return (waiter, pull)
    }

    /// Reads at a place, without waiting.
    mutating func read(at position: OneShotPosition) -> Step {
        guard var index = kept(position) else { return .failed(ServiceError.oneShotBodyConsumed) }
        var offset = position.offset
        while index < kept.count {
            let chunk = kept[index]
            let count = chunk.readableBytes - offset
            if count > 0, let rest = chunk.getSlice(at: chunk.readerIndex + offset, length: count) {
                var next = OneShotPosition(chunk: dropped + index, offset: offset + count)
                if isCommitted { next = drop(through: index) }
                return .chunk(rest, next: next)
            }
            index += 1
            offset = 0
        }
        switch outcome {
        case .ended: return .ended
        case .failed(let error): return .failed(error)
        case nil: return .wait
        }
    }

    /// Numbers a wait that is about to begin.
    mutating func makeWaitNumber() -> Int {
        waits += 1
        return waits
    }

    enum Wait: Sendable {
        case answered(Step)
        /// - pull: The number of the pull that is to be started; nil: one is under way.
        /// - superseded: A waiter of an attempt that has ended.
        case waiting(pull: Int?, superseded: Waiter?)
    }

    /// A reader waits for more.
    ///
    /// - Parameters:
    ///   - number: From ``makeWaitNumber()``.
    ///   - isCancelled: Its task was cancelled before; ``stopWaiting(_:)`` found no waiter then.
    mutating func wait(
        _ waiter: Waiter, number: Int, at position: OneShotPosition, isCancelled: Bool
    ) -> Wait {
        let step = read(at: position)
        guard case .wait = step else { return .answered(step) }
        if isCancelled { return .answered(.failed(CancellationError())) }
        // One attempt reads at a time.
        let superseded = waiting?.waiter
        waiting = Waiting(number: number, position: position, waiter: waiter)
        guard !isPulling else { return .waiting(pull: nil, superseded: superseded) }
        isPulling = true
        pulls += 1
        return .waiting(pull: pulls, superseded: superseded)
    }

    /// The reader that waits under this number waits no more.
    mutating func stopWaiting(_ number: Int) -> Waiter? {
        guard let waiting, waiting.number == number else { return nil }
        self.waiting = nil
        return waiting.waiter
    }

    /// The pull of that number is this.
    ///
    /// - Returns: whether it is to be cancelled.
    mutating func pullStarted(_ number: Int, _ pull: Pull) -> Bool {
        // It may have ended meanwhile, and the next have begun.
        guard isPulling, number == pulls else { return false }
        self.pull = pull
        if case .failed = outcome { return true }
        return false
    }

    /// A pull has brought a chunk; nil: the end.
    ///
    /// - Returns: the waiter, and its result.
    mutating func pulled(_ chunk: ByteBuffer?) -> (waiter: Waiter, step: Step)? {
        pullEnded()
        guard outcome == nil else { return delivery() }
        guard let chunk else {
            outcome = .ended
            return delivery()
        }
        guard let waiting, isAtEnd(waiting.position) else {
            keep(chunk)
            return delivery()
        }
        // The chunk itself, not a slice of the kept block: a block with a second reference is copied when more is joined.
        self.waiting = nil
        keep(chunk)
        var next = OneShotPosition(chunk: dropped + kept.count, offset: 0)
        if isCommitted {
            next = drop(through: kept.count - 1)
        } else if kept.count > 0 {
            next = OneShotPosition(chunk: dropped + kept.count - 1, offset: kept[kept.count - 1].readableBytes)
        }
        return (waiting.waiter, .chunk(chunk, next: next))
    }

    /// A pull has failed.
    mutating func pullFailed(_ error: any Error) -> (waiter: Waiter, step: Step)? {
        pullEnded()
        outcome = outcome ?? .failed(error)
        return delivery()
    }

    private mutating func pullEnded() {
        isPulling = false
        pull = nil
    }

    private mutating func delivery() -> (waiter: Waiter, step: Step)? {
        guard let waiting else { return nil }
        self.waiting = nil
        return (waiting.waiter, read(at: waiting.position))
    }

    private mutating func keep(_ chunk: ByteBuffer) {
        kept.append(chunk)
        if kept.byteCount > limit { isCommitted = true }
    }

    /// Drops the kept chunks up to an index, and returns the reader's place then.
    private mutating func drop(through index: Int) -> OneShotPosition {
        for _ in 0..<(index + 1) where kept.popFirst() != nil { dropped += 1 }
        return OneShotPosition(chunk: dropped, offset: 0)
    }

    /// Which of the kept chunks a place lies in; nil: it was dropped.
    private func kept(_ position: OneShotPosition) -> Int? {
        position.chunk < dropped ? nil : position.chunk - dropped
    }

    private func isAtEnd(_ position: OneShotPosition) -> Bool {
        guard let index = kept(position) else { return false }
        if index >= kept.count { return true }
        return index == kept.count - 1 && position.offset == kept[index].readableBytes
    }
}

/// A reader's place in the chunks of a one-shot body: so many chunks, and so many bytes of the next.
struct OneShotPosition: Hashable, Sendable {
    var chunk = 0
    var offset = 0
}

extension ServiceError {
    static var oneShotBodyConsumed: ServiceError {
        ServiceError(.requestBodyConsumed, "the request body is a one-shot stream that was sent before")
    }
}
