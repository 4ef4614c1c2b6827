public import NIOCore

/// The body of a response, read once, in chunks as they arrive or collected.
///
/// A slow reader slows the peer down. Over HTTP/1.1 at most `connection.readBufferLimit` bytes (64 KiB by default) wait for
/// the reader, over HTTP/2 at most `http2.streamWindow` (1 MiB by default). If you drop a body before its end, Bowline
/// reads the rest if that is cheap, and closes the connection otherwise. Until then the request is in flight.
public struct ResponseBody: AsyncSequence, Sendable {
    /// A chunk, as it arrived.
    public typealias Element = ByteBuffer
    /// ``ServiceError`` or `CancellationError`.
    public typealias Failure = any Error

    /// Where the chunks come from, for a middleware that changes them; nil: there are none.
    package let source: (any ResponseBodySource)?

    /// How the client that sent the request decodes lines; nil: as the default decoder does.
    package var decoding: BodyDecoding?
    /// The call that the body belongs to, which its errors name; nil: no client has returned it.
    private var call: CallRecord?

    package init(source: (any ResponseBodySource)?) {
        self.source = source
    }

    /// A body without bytes.
    public init() {
        source = nil
    }

    /// A body that is here already.
    public init(_ buffer: ByteBuffer, trailers: HTTPFields? = nil) {
        source = BufferedBodySource(buffer, trailers: trailers.map(ReceivedFields.init), attempt: nil)
    }

    /// A body that arrived together with its head.
    package init(received buffer: ByteBuffer?, trailers: ReceivedFields?, attempt: ResponseAttempt?) {
        let isEmpty = buffer == nil && trailers == nil
        source = isEmpty ? nil : BufferedBodySource(buffer ?? ByteBuffer(), trailers: trailers, attempt: attempt)
    }

    /// A body made of a sequence's chunks.
    public init<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks) where Chunks.Element == ByteBuffer {
        source = SequenceBodySource(RequestBodySequence(chunks))
    }

    /// Reads the chunks. For text by lines, see ``lines(maximum:)``; for events, ``serverSentEvents(maximum:)``.
    ///
    /// - Throws (from `next()`): ``ServiceError`` `incompleteBody`, `connectionClosed`, `bodyIdleTimeout`,
    ///   `deadlineExceeded`, `protocolViolation` or `forciblyClosed` when the body fails,
    ///   `bodyAlreadyConsumed` when it is read a second time; `CancellationError` when the reading task is cancelled,
    ///   which gives the body up.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(body: self)
    }

    /// The reader of a body.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let body: ResponseBody
        private var hasBegun = false
        private var isFinished = false

        init(body: ResponseBody) {
            self.body = body
        }

        /// The next chunk; nil at the end. Throws as ``ResponseBody/makeAsyncIterator()`` says.
        public mutating func next() async throws -> ByteBuffer? {
            try await next(isolation: nil)
        }

        /// The next chunk; nil at the end. Throws as ``ResponseBody/makeAsyncIterator()`` says.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
            guard let source = body.source, !isFinished else { return nil }
            do {
                if !hasBegun {
                    try source.beginReading()
                    hasBegun = true
                }
                if let chunk = try await source.next() { return chunk }
            } catch {
                isFinished = true
                throw body.named(error)
            }
            isFinished = true
            return nil
        }
    }

    /// Reads the whole body into one buffer. For bodies of any size, iterate over the chunks instead.
    ///
    /// - Parameter limit: The most bytes to accept, from 0. Above 2 GiB - 1 it counts as 2 GiB - 1, because a buffer
    ///   holds no more.
    /// - Throws: `bodyTooLarge` if there are more, after which the rest is given up; else any error of reading.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        guard let source else { return ByteBuffer() }
        let limit = Swift.min(limit, Int(Int32.max))
        do {
            try source.beginReading()
            if let announced = source.announcedLength, announced > limit { throw tooLarge(limit) }
            guard var collected = try await source.next() else { return ByteBuffer() }
            guard collected.readableBytes <= limit else { throw tooLarge(limit) }
            while var chunk = try await source.next() {
                guard collected.readableBytes + chunk.readableBytes <= limit else { throw tooLarge(limit) }
                collected.writeBuffer(&chunk)
            }
            return collected
        } catch {
            throw named(error)
        }
    }

    /// Reads the beginning of the body, and discards the rest. If the body fails, the result is what arrived before. If
    /// it was read before, the result is empty.
    ///
    /// - Returns: at most `limit` bytes, and whether there was, or should have been, more.
    /// - Throws: `CancellationError` when the task is cancelled.
    package func collectPrefix(of limit: Int) async throws -> (bytes: ByteBuffer, isTruncated: Bool) {
        guard let source else { return (ByteBuffer(), false) }
        guard (try? source.beginReading()) != nil else { return (ByteBuffer(), true) }
        var collected = ByteBuffer()
        do {
            while var chunk = try await source.next() {
                let room = limit - collected.readableBytes
                if chunk.readableBytes > room {
                    if var beginning = chunk.readSlice(length: room) { collected.writeBuffer(&beginning) }
                    source.abandon()
                    return (collected, true)
                }
                collected.writeBuffer(&chunk)
            }
        } catch let error as CancellationError {
            throw error
        } catch {
            return (collected, true)
        }
        return (collected, false)
    }

    /// Discards the body: the rest is read if that is cheap, else the connection closes.
    public func discard() {
        source?.abandon()
    }

    /// The trailer fields, once the body has been read to its end; nil before that, or if there were none.
    public var trailers: ReceivedFields? { source?.trailers }

    /// The length that the response announced; nil if it announced none.
    public var announcedLength: Int? { source == nil ? 0 : source?.announcedLength }

    /// Whether it arrived whole with its head, or was made of bytes: it holds no connection.
    package var isHere: Bool { source == nil || source is BufferedBodySource }

    /// The attempt that received the body; nil: no transport received it.
    package var attempt: ResponseAttempt? { source?.attempt }

    /// Calls `observer` once, when the body has been consumed, given up or failed; at once if that is so already.
    package func observeEnd(_ observer: any ResponseBodyObserver) {
        if let source { source.observeEnd(observer) } else { observer.responseBodyEnded() }
    }

    /// The rest is given up.
    private func tooLarge(_ limit: Int) -> ServiceError {
        source?.abandon()
        let error = ServiceError(
            .bodyTooLarge, "the response body is larger than \(limit) bytes", progress: .responseStarted,
            phase: .receivingBody
        )
        return describing(error)
    }

    /// `error` with the facts of the attempt that brought the body, the call and the response.
    package func describing(_ error: ServiceError) -> ServiceError {
        let error = source?.attempt?.describe(error) ?? error
        return named(error) as? ServiceError ?? error
    }

    /// `error` with the call and the response, if it is one of ours.
    private func named(_ error: any Error) -> any Error {
        call?.describing(error) ?? error
    }

    /// Ties the body to its call: the end of the body ends the call.
    mutating func attach(to call: CallRecord, decoding: BodyDecoding) {
        self.decoding = decoding
        self.call = call
        observeEnd(call)
    }
}

/// Where the chunks of a response body come from.
package protocol ResponseBodySource: AnyObject, Sendable {
    /// Claims the body for one reader.
    ///
    /// - Throws: `bodyAlreadyConsumed` on the second call.
    func beginReading() throws
    /// Returns the next chunk or the end if it is known already, else `later`. A source may always return `later`.
    func takeReady() throws -> ReadyChunk
    /// Waits for the next chunk and returns it; nil at the end.
    func waitForNext() async throws -> ByteBuffer?
    /// Gives up the rest.
    func abandon()
    var announcedLength: Int? { get }
    var trailers: ReceivedFields? { get }
    /// The attempt that received the body; nil: no transport received it.
    var attempt: ResponseAttempt? { get }
    func observeEnd(_ observer: any ResponseBodyObserver)
}

extension ResponseBodySource {
    package func takeReady() throws -> ReadyChunk { .later }

    /// The next chunk; nil at the end. A chunk that has arrived is returned without a suspension.
    package nonisolated(nonsending) func next() async throws -> ByteBuffer? {
        switch try takeReady() {
        case .chunk(let chunk): chunk
        case .end: nil
        case .later: try await waitForNext()
        }
    }
}

/// The next part of a body, as far as it is there now.
package enum ReadyChunk {
    case chunk(ByteBuffer)
    case end
    case later
}

/// Is called when a response body is over.
package protocol ResponseBodyObserver: AnyObject, Sendable {
    func responseBodyEnded()
}
