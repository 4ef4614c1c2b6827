internal import BowlineCore
internal import NIOCore

/// The caller's side of one exchange: the waiter for the head, the chunks of the body that wait for the reader, and the
/// waiter for the next chunk.
///
/// | state | head | chunk | complete | fail | next | cancel, abandon |
/// |---|---|---|---|---|---|---|
/// | created | – | – | – | over(error) | – | over(cancelled) |
/// | awaitingHead | streaming, or over if whole | – | – | over(error) | – | over(cancelled) |
/// | streaming | – | streaming | streaming, or over | cutOff, or over(error) | streaming, or over | over(cancelled) |
/// | cutOff | – | – | – | cutOff | cutOff, or over(error) | over(cancelled) |
/// | over | over | over | over | over | over | over |
///
/// `cutOff`: the connection ended before the body was complete. The reader gets the chunks that had arrived, and then
/// the error. If a limit or a shutdown ends the exchange, the reader gets only the error.
///
/// Inputs in the state `over` are ignored: the exchange has its result already.
///
/// The machine stores waiters without interpreting them, and returns each once.
struct ExchangeStateMachine<HeadWaiter, ChunkWaiter>: ~Copyable {
    /// The part of a body that has arrived and was not read yet. A class, so that each chunk changes it in place.
    private final class Stream {
        var chunks = ChunkQueue()
        /// The size of the waiting chunks, as it counts against the limit: their bytes, and 256 bytes for each chunk.
        var bufferedBytes: Int { chunks.byteCount + chunks.count * 256 }
        var waiter: ChunkWaiter?
        var isClaimed = false
        /// Whether the reader is behind: so many bytes wait that the connection stops reading its socket (HTTP/1.1), or
        /// that the peer may have no room left on the stream (HTTP/2).
        var isPaused = false
        /// How many bytes may wait before the reader counts as behind.
        let limit: Int
        /// The connection is notified when the reader has taken this many bytes since the last call of ``takeTaken()``,
        /// or since the last notification.
        let step: Int
        /// How many bytes the reader has taken since the last call of ``takeTaken()``.
        var taken = 0
        /// How many bytes the reader has taken since the last call of ``takeTaken()``, or since the last notification.
        var unannounced = 0
        var isComplete = false
        var trailers: ReceivedFields?
        var observer: (any ResponseBodyObserver)?

        init(limit: Int, step: Int) {
            self.limit = limit
            self.step = step
        }

        /// Counts bytes that the reader has taken from the queue. Returns whether to notify the connection.
        func took(_ count: Int) -> Bool {
            taken += count
            unannounced += count
            guard unannounced >= step, !isComplete else { return false }
            unannounced = 0
            return true
        }
    }

    private enum State {
        case created
        case awaitingHead(HeadWaiter)
        case streaming(Stream)
        case cutOff(Stream, any Error)
        case over(Outcome)
    }

    private enum Outcome {
        case delivered(trailers: ReceivedFields?)
        case failed(any Error)
    }

    private var state = State.created
    private let bufferLimit: Int

    init(bufferLimit: Int) {
        self.bufferLimit = bufferLimit
    }

    enum Begin {
        case start
        case failed(any Error)
    }

    /// Begins the exchange: the caller waits for the head.
    mutating func begin(_ waiter: HeadWaiter) -> Begin {
        switch state {
        case .created:
            state = .awaitingHead(waiter)
            return .start
        case .over(.failed(let error)):
            return .failed(error)
        case .awaitingHead, .streaming, .cutOff, .over(.delivered):
            preconditionFailure("an exchange is begun once")
        }
    }

    /// Records that the whole response has arrived. Returns the waiter that gets the response.
    mutating func receivedWhole() -> HeadWaiter? {
        guard case .awaitingHead(let waiter) = state else { return nil }
        state = .over(.delivered(trailers: nil))
        return waiter
    }

    struct HeadDelivery {
        var waiter: HeadWaiter
        var shouldPause: Bool
    }

    /// Records that the head has arrived, and perhaps the beginning of the body. More is to come.
    ///
    /// - Parameter step: Each time the reader has taken this many bytes, the connection is notified, and returns them
    ///   to the stream's window. It is at most a quarter of the window, so that the peer can still send meanwhile.
    ///   `Int.max`: there is no window.
    mutating func receivedHead(first chunk: ByteBuffer?, step: Int = .max) -> HeadDelivery? {
        guard case .awaitingHead(let waiter) = state else { return nil }
        let stream = Stream(limit: min(bufferLimit, step), step: step)
        if let chunk { stream.chunks.append(chunk) }
        stream.isPaused = stream.bufferedBytes >= stream.limit
        state = .streaming(stream)
        return HeadDelivery(waiter: waiter, shouldPause: stream.isPaused)
    }

    enum Chunk {
        case deliver(ChunkWaiter)
        case stored(shouldPause: Bool)
        case ignored
    }

    /// Records that more of the body has arrived.
    mutating func received(_ chunk: ByteBuffer) -> Chunk {
        guard case .streaming(let stream) = state else { return .ignored }
        if let waiter = stream.waiter {
            stream.waiter = nil
            stream.taken += chunk.readableBytes
            return .deliver(waiter)
        }
        stream.chunks.append(chunk)
        // Chunks that were already read from the socket may still arrive. `isPaused` stays set until the reader catches
        // up.
        if stream.bufferedBytes >= stream.limit { stream.isPaused = true }
        return .stored(shouldPause: stream.isPaused)
    }

    /// Returns how many bytes of the body the reader has taken since the last call, and whether the reader is behind.
    mutating func takeTaken() -> (count: Int, isPaused: Bool) {
        guard case .streaming(let stream) = state else { return (0, false) }
        defer { (stream.taken, stream.unannounced) = (0, 0) }
        return (stream.taken, stream.isPaused)
    }

    /// The waiters to resume and the observer to call after an input that may have ended the exchange.
    struct Ending {
        var head: HeadWaiter?
        var chunk: ChunkWaiter?
        var observer: (any ResponseBodyObserver)?
        /// Whether this input ended a body that was still arriving.
        var cutsBody = false
    }

    /// Records that the whole body has arrived.
    mutating func completed(trailers: ReceivedFields?) -> Ending {
        guard case .streaming(let stream) = state else { return Ending() }
        stream.isComplete = true
        stream.trailers = trailers
        if let waiter = stream.waiter {
            state = .over(.delivered(trailers: trailers))
            return Ending(chunk: waiter, observer: stream.observer)
        }
        // If a reader has claimed the body and chunks still wait, the observer is called when the reader takes the last
        // of them. Otherwise it is called now.
        let observer = stream.isClaimed && !stream.chunks.isEmpty ? nil : stream.observer
        if observer != nil { stream.observer = nil }
        return Ending(observer: observer)
    }

    /// Records that the exchange has failed.
    ///
    /// - Parameters:
    ///   - error: The error that the reader of the body gets.
    ///   - beforeHead: The error for a caller that begins to wait for the head after this; nil: `error`.
    ///   - isCutOff: Whether the reader may still get the chunks that have arrived, because only the rest of the body
    ///     is missing.
    mutating func fail(_ error: any Error, beforeHead: (any Error)? = nil, isCutOff: Bool = false) -> Ending {
        switch state {
        case .created:
            state = .over(.failed(beforeHead ?? error))
            return Ending()
        case .awaitingHead(let waiter):
            state = .over(.failed(error))
            return Ending(head: waiter)
        case .streaming(let stream):
            // A body that has arrived completely stays readable.
            if stream.isComplete { return Ending() }
            state = isCutOff && !stream.chunks.isEmpty ? .cutOff(stream, error) : .over(.failed(error))
            return Ending(chunk: stream.waiter, observer: stream.observer, cutsBody: true)
        case .cutOff, .over:
            return Ending()
        }
    }

    /// Claims the body for a reader. Returns false if a reader has claimed it before.
    mutating func claim() -> Bool {
        switch state {
        case .streaming(let stream), .cutOff(let stream, _):
            guard !stream.isClaimed else { return false }
            stream.isClaimed = true
            return true
        case .over(.failed): return true
        case .over(.delivered), .created, .awaitingHead: return false
        }
    }

    enum Next {
        case chunk(ByteBuffer, shouldResume: Bool, observer: (any ResponseBodyObserver)?)
        case end((any ResponseBodyObserver)?)
        case failed(any Error)
        case wait
    }

    /// Returns the next chunk, the end or the error. If there is none of these yet, stores `waiter` and returns `wait`.
    mutating func next(_ waiter: ChunkWaiter?) -> Next {
        switch state {
        case .streaming(let stream):
            if let chunk = stream.chunks.popFirst() {
                let hasCaughtUp = stream.isPaused && stream.bufferedBytes <= stream.limit / 2
                if hasCaughtUp { stream.isPaused = false }
                let shouldResume = stream.took(chunk.readableBytes) || hasCaughtUp
                var observer: (any ResponseBodyObserver)?
                if stream.isComplete, stream.chunks.isEmpty { swap(&observer, &stream.observer) }
                return .chunk(chunk, shouldResume: shouldResume, observer: observer)
            }
            if stream.isComplete {
                state = .over(.delivered(trailers: stream.trailers))
                return .end(stream.observer)
            }
            guard stream.waiter == nil else { return .failed(ServiceError.bodyAlreadyConsumed) }
            stream.waiter = waiter
            return .wait
        case .cutOff(let stream, let error):
            if let chunk = stream.chunks.popFirst() { return .chunk(chunk, shouldResume: false, observer: nil) }
            state = .over(.failed(error))
            return .failed(error)
        case .over(.failed(let error)): return .failed(error)
        case .over(.delivered): return .end(nil)
        case .created, .awaitingHead: return .end(nil)
        }
    }

    struct GivenUp {
        var ending: Ending
        /// Whether the connection is still working on the exchange.
        var isActive: Bool
    }

    /// Ends the exchange because the caller gives up.
    mutating func giveUp(_ error: any Error) -> GivenUp {
        switch state {
        case .created:
            state = .over(.failed(error))
            return GivenUp(ending: Ending(), isActive: false)
        case .awaitingHead(let waiter):
            state = .over(.failed(error))
            return GivenUp(ending: Ending(head: waiter), isActive: true)
        case .streaming(let stream):
            state = .over(.failed(error))
            let ending = Ending(
                chunk: stream.waiter, observer: stream.observer, cutsBody: !stream.isComplete
            )
            return GivenUp(ending: ending, isActive: !stream.isComplete)
        case .cutOff:
            state = .over(.failed(error))
            return GivenUp(ending: Ending(), isActive: false)
        case .over:
            return GivenUp(ending: Ending(), isActive: false)
        }
    }

    /// Stores an observer of the end. Returns false if the end has come already.
    mutating func observe(_ observer: any ResponseBodyObserver) -> Bool {
        guard case .streaming(let stream) = state, !stream.isComplete || (stream.isClaimed && !stream.chunks.isEmpty)
        else { return false }
        stream.observer = ResponseBodyObservers.joining(stream.observer, observer)
        return true
    }

    var isOver: Bool {
        switch state {
        case .over, .cutOff: true
        case .created, .awaitingHead, .streaming: false
        }
    }

    /// The part of the body that waits for its reader: the number of chunks, and the memory that they occupy.
    var waiting: (chunks: Int, retainedBytes: Int) {
        switch state {
        case .streaming(let stream), .cutOff(let stream, _): (stream.chunks.count, stream.chunks.retainedBytes)
        case .created, .awaitingHead, .over: (0, 0)
        }
    }

    var trailers: ReceivedFields? {
        switch state {
        case .over(.delivered(let trailers)): trailers
        case .streaming(let stream) where stream.isComplete && stream.chunks.isEmpty: stream.trailers
        default: nil
        }
    }
}
