public import NIOCore

extension RequestBody {
    /// The bytes, if they are in memory: for `.bytes`, `.text`, `.form` and encoded values; empty for ``none``. nil for a
    /// body whose bytes are yet to come (`.file`, `.multipart`, `.replayable`, `.stream`): read ``chunks``.
    ///
    /// These bytes are sent; asking for them copies nothing.
    public var bytes: ByteBuffer? {
        switch kind {
        case .none: ByteBuffer()
        case .bytes(let buffer): buffer
        case .factory, .emptyFile, .stream: nil
        }
    }

    /// Whether it is a stream, which can be read once: reading ``chunks`` uses it up.
    public var isStream: Bool {
        if case .stream = kind { true } else { false }
    }

    /// The body's bytes from the first to the last, for middleware, authenticators and transports that have to see them.
    ///
    /// - Bytes, files and `.replayable` can be read any number of times. Each time a file is opened and a `.replayable` is
    ///   asked for a new sequence.
    /// - A stream (``isStream``) is read as an attempt that sends it reads it. No more than its first 64 KiB are kept for the
    ///   next reader. Past that, sending it or reading it again fails with `requestBodyConsumed` before a byte is sent; a
    ///   part of it is never sent as if it were the whole. It has one reader at a time.
    ///
    /// The next chunk is produced when it is asked for. Trailer fields are not among the chunks.
    public var chunks: Chunks { Chunks(body: self) }

    /// The bytes of a body in chunks, none of them empty.
    public struct Chunks: AsyncSequence, Sendable {
        /// Some of the bytes.
        public typealias Element = ByteBuffer
        /// ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: RequestBody

        /// Starts reading from the first byte.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `requestBodyFailed` with the error of the body's own sequence,
        ///   `requestBodyLengthMismatch` if it is shorter or longer than its declared length, `requestBodyConsumed` for a
        ///   stream whose beginning is gone; `CancellationError` when the task is cancelled and the body's sequence says so.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: body) }

        /// One reader's place in a body.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private enum State {
                case new
                case reading(RequestBodyReader)
                case ended
            }

            private let body: RequestBody
            private var state = State.new
            private var count = 0

            init(body: RequestBody) {
                self.body = body
            }

            /// The next chunk; nil at the end.
            public mutating func next() async throws -> ByteBuffer? {
                try await next(isolation: nil)
            }

            /// The next chunk; nil at the end.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
                do {
                    guard var reader = try await reader() else { return nil }
                    // Taken out while it is awaited: after a failure there is nothing to go on with.
                    state = .ended
                    let chunk = try await reader.next()
                    try check(chunk)
                    if chunk != nil { state = .reading(reader) }
                    return chunk
                } catch {
                    state = .ended
                    throw failure(error)
                }
            }

            private func reader() async throws -> RequestBodyReader? {
                switch state {
                case .new: try await body.makeReader(replayLimit: RequestBody.keptForNextReader)
                case .reading(let reader): reader
                case .ended: nil
                }
            }

            private mutating func check(_ chunk: ByteBuffer?) throws {
                count += chunk?.readableBytes ?? 0
                guard let length = body.length, chunk == nil ? count < length : count > length else { return }
                let what = count < length ? "shorter" : "longer"
                throw RequestBodyFailure(
                    ServiceError(
                        .requestBodyLengthMismatch,
                        "the request body is \(what) than its declared length of \(length) bytes", phase: .pipeline))
            }

            private func failure(_ error: any Error) -> any Error {
                if let own = error as? RequestBodyFailure { return own.error }
                if error is CancellationError, Task.isCancelled { return error }
                if body.isStream, let own = error as? ServiceError, own.code == .requestBodyConsumed { return own }
                return ServiceError(
                    .requestBodyFailed, "the request body's sequence threw \(type(of: error))", underlying: error,
                    phase: .pipeline)
            }
        }
    }

    /// How many bytes of a stream are kept when middleware reads it.
    private static let keptForNextReader = 65_536

    /// These bytes in place of the sequence that yielded them; all else as it is.
    func replaced(by bytes: ByteBuffer) -> RequestBody {
        let body = RequestBody.bytes(bytes)
        guard let makeTrailers else {
            var body = body
            body.contentType = contentType
            return body
        }
        var withTrailers = body.trailers(makeTrailers)
        withTrailers.contentType = contentType
        return withTrailers
    }
}
