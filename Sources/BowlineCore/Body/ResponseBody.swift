public import NIOCore

/// The body of a response. It can be read once: in chunks as they arrive, or collected.
///
/// A slow reader slows the peer down. Over HTTP/1.1 at most `connection.readBufferLimit` bytes (64 KiB by default) wait
/// for the reader, and up to 256 KiB more from the last read of the socket. Over HTTP/2 at most `http2.streamWindow`
/// bytes wait (1 MiB by default). `Docs/ConnectionReuse.md` ("Memory") has the details. If you drop a body before its
/// end, Bowline discards it as ``discard()`` does. The request counts as in flight until its body has ended.
public struct ResponseBody: AsyncSequence, Sendable {
    /// A chunk, as it arrived.
    public typealias Element = ByteBuffer
    /// The errors are ``ServiceError`` or `CancellationError`.
    public typealias Failure = any Error

    /// The source of the chunks, for a middleware that changes them; nil: the body is empty.
    package let source: (any ResponseBodySource)?

    /// The decoder for lines, from the client that sent the request; nil: the default decoder.
    package var decoding: BodyDecoding?
    /// The call that the body belongs to. The body's errors name it. nil: no client has returned the body.
    private var call: CallRecord?

    package init(source: (any ResponseBodySource)?) {
        self.source = source
    }

    /// Makes a body without bytes.
    public init() {
        source = nil
    }

    /// Makes a body from bytes in memory.
    public init(_ buffer: ByteBuffer, trailers: HTTPFields? = nil) {
        source = BufferedBodySource(buffer, trailers: trailers.map(ReceivedFields.init), attempt: nil)
    }

    /// Makes a body that arrived together with the response's head.
    package init(received buffer: ByteBuffer?, trailers: ReceivedFields?, attempt: ResponseAttempt?) {
        let isEmpty = buffer == nil && trailers == nil
        source = isEmpty ? nil : BufferedBodySource(buffer ?? ByteBuffer(), trailers: trailers, attempt: attempt)
    }

    /// Makes a body from the chunks of a sequence. If the sequence ends while the reading task is cancelled, as
    /// `AsyncStream` does, reading throws `CancellationError`, because chunks may be missing.
    public init<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks) where Chunks.Element == ByteBuffer {
        source = SequenceBodySource(RequestBodySequence(chunks))
    }

    /// Reads the chunks. For text by lines, see ``lines(maximum:)``; for events, ``serverSentEvents(maximum:)``.
    ///
    /// - Throws (from `next()`): ``ServiceError`` `incompleteBody`, `connectionClosed`, `bodyIdleTimeout`,
    ///   `deadlineExceeded`, `protocolViolation`, `responseLimitExceeded` or `forciblyClosed` when the body fails;
    ///   `decompressionFailed` or `decompressionLimitExceeded` when it cannot be decoded;
    ///   `requestBodyFailed` or `requestBodyLengthMismatch` when the upload fails after the response has begun;
    ///   `bodyAlreadyConsumed` when the body is read a second time. `CancellationError` when the reading task is
    ///   cancelled; the rest of the body is then discarded.
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

        /// Returns the next chunk; nil at the end. ``ResponseBody/makeAsyncIterator()`` lists the errors.
        public mutating func next() async throws -> ByteBuffer? {
            try await next(isolation: nil)
        }

        /// Returns the next chunk; nil at the end. ``ResponseBody/makeAsyncIterator()`` lists the errors.
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
    ///   cannot contain more.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more bytes; the rest is then discarded. Also any error of
    ///   reading.
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

    /// Reads the beginning of the body, and discards the rest. If the body fails, returns the bytes that arrived before
    /// the failure. If the body was read before, returns no bytes.
    ///
    /// - Returns: at most `limit` bytes, and whether bytes are missing, because the body is longer or because it
    ///   failed.
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

    /// Discards the body. Over HTTP/1.1 the rest is read if it is short and arrives soon (`connection.discardLimit`,
    /// `connection.discardTimeout`), else the connection closes. Over HTTP/2 the stream is reset. Reading a discarded
    /// body fails with `bodyAlreadyConsumed`.
    public func discard() {
        source?.abandon()
    }

    /// The trailer fields; nil: the body has not been read to its end, or there are no trailer fields.
    public var trailers: ReceivedFields? { source?.trailers }

    /// The length that the response announced; nil if it announced none.
    public var announcedLength: Int? { source == nil ? 0 : source?.announcedLength }

    /// Whether the whole body is in memory: it arrived with its head, or was made from bytes. Then it uses no
    /// connection.
    package var isInMemory: Bool { source == nil || source is BufferedBodySource }

    /// The attempt that received the body; nil: no transport received it.
    package var attempt: ResponseAttempt? { source?.attempt }

    /// Calls `observer` once, when the body has been read to its end, discarded, or has failed. If that has happened
    /// already, calls it at once. Observers that the body has already are called too.
    package func observeEnd(_ observer: any ResponseBodyObserver) {
        if let source { source.observeEnd(observer) } else { observer.responseBodyEnded() }
    }

    /// Discards the rest of the body, and returns the error.
    private func tooLarge(_ limit: Int) -> ServiceError {
        source?.abandon()
        let error = ServiceError(
            .bodyTooLarge, "the response body is larger than \(limit) bytes", progress: .responseStarted,
            phase: .receivingBody
        )
        return describing(error)
    }

    /// Returns `error` with the facts of the attempt that received the body, of the call and of the response.
    package func describing(_ error: ServiceError) -> ServiceError {
        let error = source?.attempt?.describe(error) ?? error
        return named(error) as? ServiceError ?? error
    }

    /// Returns `error` with the facts of the call and of the response, if it is a ``ServiceError``.
    private func named(_ error: any Error) -> any Error {
        call?.describing(error) ?? error
    }

    /// Attaches the body to its call: the end of the body ends the call.
    mutating func attach(to call: CallRecord, decoding: BodyDecoding) {
        self.decoding = decoding
        self.call = call
        observeEnd(call)
    }
}

/// A source of the chunks of a response body.
package protocol ResponseBodySource: AnyObject, Sendable {
    /// Claims the body for one reader.
    ///
    /// - Throws: `bodyAlreadyConsumed` on the second call.
    func beginReading() throws
    /// Returns the next chunk, or the end of the body, if it has arrived already; else `later`. A source may always
    /// return `later`.
    func takeReady() throws -> ReadyChunk
    /// Waits for the next chunk and returns it; nil at the end.
    func waitForNext() async throws -> ByteBuffer?
    /// Discards the rest of the body.
    func abandon()
    var announcedLength: Int? { get }
    var trailers: ReceivedFields? { get }
    /// The attempt that received the body; nil: no transport received it.
    var attempt: ResponseAttempt? { get }
    func observeEnd(_ observer: any ResponseBodyObserver)
}

extension ResponseBodySource {
    package func takeReady() throws -> ReadyChunk { .later }

    /// Returns the next chunk; nil at the end. Does not suspend if the chunk has arrived.
    package nonisolated(nonsending) func next() async throws -> ByteBuffer? {
        switch try takeReady() {
        case .chunk(let chunk): chunk
        case .end: nil
        case .later: try await waitForNext()
        }
    }
}

/// The next part of a body, if it is available without waiting.
package enum ReadyChunk {
    case chunk(ByteBuffer)
    case end
    case later
}

/// An observer of the end of a response body.
package protocol ResponseBodyObserver: AnyObject, Sendable {
    func responseBodyEnded()
}

/// Two observers of one body. A body has several if the response of one call becomes the response of another: a
/// fallback or middleware returns a response that it got from a client. The end of the body ends both calls.
package final class ResponseBodyObservers: ResponseBodyObserver {
    private let earlier: any ResponseBodyObserver
    private let later: any ResponseBodyObserver

    private init(_ earlier: any ResponseBodyObserver, _ later: any ResponseBodyObserver) {
        self.earlier = earlier
        self.later = later
    }

    /// Returns the observer that a body stores when it gets another one.
    package static func joining(
        _ earlier: (any ResponseBodyObserver)?, _ later: any ResponseBodyObserver
    ) -> any ResponseBodyObserver {
        guard let earlier, earlier !== later else { return later }
        return ResponseBodyObservers(earlier, later)
    }

    package func responseBodyEnded() {
        earlier.responseBodyEnded()
        later.responseBodyEnded()
    }
}
