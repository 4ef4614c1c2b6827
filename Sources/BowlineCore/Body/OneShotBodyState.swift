internal import NIOCore

/// The state of a stream that can be read once: its kept chunks, the waiter for the next chunk, and the pull in
/// progress.
///
/// | state | wait | chunk pulled | end pulled | pull failed | abandon |
/// |---|---|---|---|---|---|
/// | idle | kept chunk, or pulling | – | – | – | failed(cancelled) |
/// | pulling | kept chunk, or waits for the pull | idle | ended | failed | failed(cancelled), pull cancelled |
/// | ended | kept chunk, or the end | – | – | – | ended |
/// | failed | kept chunk, or the error | ignored | ignored | ignored | failed |
///
/// Pulls are numbered, because a pull may end, and the next pull may begin, before the machine gets the task of the
/// first pull.
///
/// Pure: the machine stores and returns waiters and pulls without interpreting them.
struct OneShotBodyState<Waiter: Sendable, Pull: Sendable>: Sendable {
    /// The result of a read at a position.
    enum Step: Sendable {
        /// Bytes, and the reader's position after them.
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

    /// The chunks that may be read again, or that were not read yet.
    private var kept = ChunkQueue()
    /// How many chunks were dropped before the kept ones.
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

    /// How much memory the kept chunks take.
    var retainedBytes: Int { kept.retainedBytes }
    /// How many chunks are kept.
    var keptChunks: Int { kept.count }

    /// Whether a reader could still start from the first byte.
    var isReplayable: Bool { !isCommitted }

    /// Whether no reader has started, and the body can still be sent. Then no byte was taken from the sequence.
    var isUntouched: Bool { !hasReader && !isCommitted }

    /// Starts a reader at the first byte. Returns false if that byte was dropped.
    ///
    /// - Parameter replayLimit: How many bytes are kept for the next reader.
    mutating func beginReading(replayLimit: Int) -> Bool {
        // The first reader may start even after `commit()`: a response may begin before any byte of the body was read.
        let isFirst = !hasReader && outcome == nil
        guard isFirst || !isCommitted else { return false }
        hasReader = true
        limit = replayLimit
        return true
    }

    /// Ends replay: from now on each chunk is dropped when it is read.
    mutating func commit() {
        isCommitted = true
    }

    /// Ends the body early, and drops the kept chunks.
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

    /// Returns the next bytes at a position without waiting; `wait`: no bytes have arrived there yet.
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

    /// Returns the number for a wait that is about to begin.
    mutating func makeWaitNumber() -> Int {
        waits += 1
        return waits
    }

    enum Wait: Sendable {
        case answered(Step)
        /// - pull: The number of the pull to start; nil: a pull is in progress.
        /// - superseded: The waiter of an attempt that has ended; nil: there is none.
        case waiting(pull: Int?, superseded: Waiter?)
    }

    /// Stores a reader that waits for the next chunk, unless its result is known already.
    ///
    /// - Parameters:
    ///   - number: From ``makeWaitNumber()``.
    ///   - isCancelled: Whether the reader's task is cancelled already. Then ``stopWaiting(_:)`` finds no waiter.
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

    /// Removes and returns the waiter of this number; nil: it no longer waits.
    mutating func stopWaiting(_ number: Int) -> Waiter? {
        guard let waiting, waiting.number == number else { return nil }
        self.waiting = nil
        return waiting.waiter
    }

    /// Stores the task of the pull with this number.
    ///
    /// - Returns: whether to cancel the task.
    mutating func pullStarted(_ number: Int, _ pull: Pull) -> Bool {
        // This pull may have ended meanwhile, and the next one may have begun.
        guard isPulling, number == pulls else { return false }
        self.pull = pull
        if case .failed = outcome { return true }
        return false
    }

    /// A pull has returned a chunk; nil: the sequence has ended.
    ///
    /// - Returns: the waiter to resume and its result; nil: there is no waiter.
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
        // Returns the chunk itself, not a slice of the kept block. A block with a second reference would be copied when
        // the next chunk is joined to it.
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

    /// Drops the kept chunks up to and including `index`. Returns the reader's position after these chunks.
    private mutating func drop(through index: Int) -> OneShotPosition {
        for _ in 0..<(index + 1) where kept.popFirst() != nil { dropped += 1 }
        return OneShotPosition(chunk: dropped, offset: 0)
    }

    /// Returns the index of the kept chunk at a position; nil: that chunk was dropped.
    private func kept(_ position: OneShotPosition) -> Int? {
        position.chunk < dropped ? nil : position.chunk - dropped
    }

    private func isAtEnd(_ position: OneShotPosition) -> Bool {
        guard let index = kept(position) else { return false }
        if index >= kept.count { return true }
        return index == kept.count - 1 && position.offset == kept[index].readableBytes
    }
}

/// A reader's position in a one-shot body: the number of a chunk, from 0, and an offset in this chunk in bytes.
struct OneShotPosition: Hashable, Sendable {
    var chunk = 0
    var offset = 0
}

extension ServiceError {
    package static var oneShotBodyConsumed: ServiceError {
        ServiceError(
            .requestBodyConsumed, "the request body is a one-shot stream that was sent, read or abandoned before")
    }
}
