internal import BowlineCore
internal import NIOCore

/// The caller's side of one exchange: who waits for the head, what of the body waits for whom.
///
/// | state | head | chunk | complete | fail | next | cancel, abandon |
/// |---|---|---|---|---|---|---|
/// | created | – | – | – | over(error) | – | over(cancelled) |
/// | awaitingHead | streaming, or over if whole | – | – | over(error) | – | over(cancelled) |
/// | streaming | – | streaming | streaming, or over | cutOff, or over(error) | streaming, or over | over(cancelled) |
/// | cutOff | – | – | – | cutOff | cutOff, or over(error) | over(cancelled) |
/// | over | over | over | over | over | over | over |
///
/// `cutOff`: the connection ended before the body. The reader gets what had arrived, and then the error.
/// A limit or a shutdown that ends it leaves nothing to be read.
///
/// Inputs that find the exchange over are ignored: the other side had the last word first.
///
/// The machine stores waiters without interpreting them, and returns each once.
struct ExchangeStateMachine<HeadWaiter, ChunkWaiter>: ~Copyable {
    /// A body between two threads: what has arrived and was not read. An object, so that each chunk changes it in place.
    private final class Stream {
        var chunks = ChunkQueue()
        /// What the chunks cost us: their bytes, and something for each.
        var bufferedBytes: Int { chunks.byteCount + chunks.count * 256 }
        var waiter: ChunkWaiter?
        var isClaimed = false
        /// The reader is behind: so much waits that the socket is not read, or that the peer may have no room on the stream.
        var isPaused = false
        /// How much may wait before the reader is behind.
        let limit: Int
        /// After how many bytes the connection is told that the reader has taken them, if it does not ask.
        let step: Int
        /// How many bytes the reader has taken that the connection has not asked for.
        var taken = 0
        /// How many of them have been taken since it was last told.
        var unannounced = 0
        var isComplete = false
        var trailers: ReceivedFields?
        var observer: (any ResponseBodyObserver)?

        init(limit: Int, step: Int) {
            self.limit = limit
            self.step = step
        }

        /// The reader has taken bytes that had waited. Returns whether the connection is to be told.
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

    /// The caller waits for the head.
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

    /// The whole response has arrived.
    mutating func receivedWhole() -> HeadWaiter? {
        guard case .awaitingHead(let waiter) = state else { return nil }
        state = .over(.delivered(trailers: nil))
        return waiter
    }

    struct HeadDelivery {
        var waiter: HeadWaiter
        var shouldPause: Bool
    }

    /// The head has arrived, and perhaps the beginning of the body; more is to come.
    ///
    /// - Parameter step: Each time the reader has taken this many bytes, the connection learns it and gives them back to the stream's
    ///   window. At most a quarter of the window, so that the peer has room left. `Int.max`: there is no window.
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

    /// More of the body has arrived.
    mutating func received(_ chunk: ByteBuffer) -> Chunk {
        guard case .streaming(let stream) = state else { return .ignored }
        if let waiter = stream.waiter {
            stream.waiter = nil
            stream.taken += chunk.readableBytes
            return .deliver(waiter)
        }
        stream.chunks.append(chunk)
        // Once paused it stays so until the reader says otherwise, though chunks that were read already still come.
        if stream.bufferedBytes >= stream.limit { stream.isPaused = true }
        return .stored(shouldPause: stream.isPaused)
    }

    /// How many bytes of the body the reader has taken since this was last asked, and whether it is behind.
    mutating func takeTaken() -> (count: Int, isPaused: Bool) {
        guard case .streaming(let stream) = state else { return (0, false) }
        defer { (stream.taken, stream.unannounced) = (0, 0) }
        return (stream.taken, stream.isPaused)
    }

    /// Who is to be told what, after an input that may have ended the exchange.
    struct Ending {
        var head: HeadWaiter?
        var chunk: ChunkWaiter?
        var observer: (any ResponseBodyObserver)?
        /// It was the input that ended a body which was still arriving.
        var cutsBody = false
    }

    /// The body has arrived to its end.
    mutating func completed(trailers: ReceivedFields?) -> Ending {
        guard case .streaming(let stream) = state else { return Ending() }
        stream.isComplete = true
        stream.trailers = trailers
        if let waiter = stream.waiter {
            state = .over(.delivered(trailers: trailers))
            return Ending(chunk: waiter, observer: stream.observer)
        }
        // Nobody reads it: nothing is owed any more. Somebody does: it is over when they have read what is here.
        let observer = stream.isClaimed && !stream.chunks.isEmpty ? nil : stream.observer
        if observer != nil { stream.observer = nil }
        return Ending(observer: observer)
    }

    /// The exchange has failed.
    ///
    /// - Parameters:
    ///   - error: What the reader of the body is told.
    ///   - beforeHead: What a caller is told that begins to wait for the head after this; nil: the same.
    ///   - isCutOff: Whether what has arrived of the body is good, and only its rest will not come.
    mutating func fail(_ error: any Error, beforeHead: (any Error)? = nil, isCutOff: Bool = false) -> Ending {
        switch state {
        case .created:
            state = .over(.failed(beforeHead ?? error))
            return Ending()
        case .awaitingHead(let waiter):
            state = .over(.failed(error))
            return Ending(head: waiter)
        case .streaming(let stream):
            // What has arrived in full stays readable.
            if stream.isComplete { return Ending() }
            state = isCutOff && !stream.chunks.isEmpty ? .cutOff(stream, error) : .over(.failed(error))
            return Ending(chunk: stream.waiter, observer: stream.observer, cutsBody: true)
        case .cutOff, .over:
            return Ending()
        }
    }

    /// A reader claims the body. False if somebody has before.
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

    /// The reader wants the next chunk; with a waiter it will wait for it.
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
        /// Whether the connection still works for it.
        var isActive: Bool
    }

    /// The caller gives up.
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

    /// Remembers who wants to know of the end. False if it is over already.
    mutating func observe(_ observer: any ResponseBodyObserver) -> Bool {
        guard case .streaming(let stream) = state, !stream.isComplete || (stream.isClaimed && !stream.chunks.isEmpty)
        else { return false }
        stream.observer = observer
        return true
    }

    var isOver: Bool {
        switch state {
        case .over, .cutOff: true
        case .created, .awaitingHead, .streaming: false
        }
    }

    /// What of the body waits for its reader: how many chunks, and how much memory they hold.
    var waiting: (chunks: Int, heldBytes: Int) {
        switch state {
        case .streaming(let stream), .cutOff(let stream, _): (stream.chunks.count, stream.chunks.heldBytes)
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
