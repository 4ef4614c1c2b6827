public import NIOCore

extension RequestBody {
    /// The bytes, if they are in memory. They are in memory for `.bytes`, `.text`, `.form` and encoded values, and
    /// empty for ``none``. nil for a body that gets its bytes from a source (`.file`, `.multipart`, `.replayable`,
    /// `.stream`): read its ``chunks`` instead.
    ///
    /// These are the bytes that are sent. Reading this property copies nothing.
    public var bytes: ByteBuffer? {
        switch kind {
        case .none: ByteBuffer()
        case .bytes(let buffer): buffer
        case .factory, .emptyFile, .stream: nil
        }
    }

    /// Whether the body is a stream, which can be read only once. Reading the ``chunks`` consumes the stream.
    public var isStream: Bool {
        if case .stream = kind { true } else { false }
    }

    /// The body's bytes from the first to the last, for middleware, authenticators and transports that need them.
    ///
    /// - Bytes, files and `.replayable` bodies can be read any number of times. Each read opens the file again, or
    ///   makes a new sequence with the closure of `.replayable`.
    /// - Reading a stream (``isStream``) consumes it, as sending does. At most its first 64 KiB are kept for the next
    ///   reader. When more has been read, a second attempt to send or read the stream fails with `requestBodyConsumed`,
    ///   before a byte is sent. So a stream without its beginning is never sent. A stream has one reader at a time.
    ///
    /// A chunk is produced only when the reader calls `next()`. The chunks do not include trailer fields.
    public var chunks: Chunks { Chunks(body: self) }

    /// The bytes of a body in chunks, none of them empty.
    public struct Chunks: AsyncSequence, Sendable {
        /// A chunk: some of the body's bytes.
        public typealias Element = ByteBuffer
        /// The errors are ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: RequestBody

        /// Starts reading from the first byte.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `requestBodyFailed` if the body's own sequence throws, with its
        ///   error; `requestBodyLengthMismatch` if the body is shorter or longer than its declared length;
        ///   `requestBodyConsumed` if the beginning of a stream was dropped; `CancellationError` if the task is
        ///   cancelled and the body's sequence throws this error.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: body) }

        /// The position of one reader in a body.
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

            /// Returns the next chunk; nil at the end.
            public mutating func next() async throws -> ByteBuffer? {
                try await next(isolation: nil)
            }

            /// Returns the next chunk; nil at the end.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
                do {
                    guard var reader = try await reader() else { return nil }
                    // While the chunk is awaited, the state is `ended`. So if the wait fails, the reader does not go
                    // on.
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

    /// How many bytes of a stream are kept for the next reader when middleware reads the stream.
    private static let keptForNextReader = 65_536

    /// Returns this body with `bytes` instead of the sequence that yielded them. Content type and trailers stay.
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
