public import NIOCore

/// The body of a request. ``isReplayable`` says whether it can be sent again.
///
/// - Bytes can always be sent again.
/// - A factory (`.replayable`, `.file`) makes a new sequence for each attempt, so the body can always be sent again.
/// - A stream (`.stream`) can be read only once. The part that was read is kept (64 KiB unless configured otherwise),
///   so that it can be sent again if an attempt fails early. When more has been read, or a response has begun, the
///   stream cannot be sent again.
///
/// The next chunk of a sequence is read only while less than `connection.writeBufferLimit` bytes (64 KiB by default) wait
/// to be sent.
public struct RequestBody: Sendable {
    package enum Kind: Sendable {
        case none
        case bytes(ByteBuffer)
        case factory(@Sendable () async throws -> RequestBodySequence)
        /// A file that was empty when the body was made. The function opens the file again.
        case emptyFile(@Sendable () async throws -> RequestBodySequence)
        case stream(OneShotBody)
    }

    package let kind: Kind
    /// The number of bytes, if known: sent as `Content-Length`. nil: sent chunked.
    public let length: Int?
    /// The media type, sent as `Content-Type` unless the request has that field already; nil: none is sent. Forms and
    /// encoded values set this property. For other bodies, set it yourself. With a control character in it, the request
    /// fails with `invalidRequest`.
    public var contentType: String?
    /// Makes the trailer fields after the body has been sent. Only a body of unknown length can have them.
    package var makeTrailers: (@Sendable () async throws -> HTTPFields)?

    private init(_ kind: Kind, length: Int?) {
        self.kind = kind
        self.length = length
    }

    /// No body. POST, PUT and PATCH then send `Content-Length: 0`.
    public static let none = RequestBody(.none, length: 0)

    /// Makes a body from these bytes.
    public static func bytes(_ buffer: ByteBuffer) -> RequestBody {
        RequestBody(.bytes(buffer), length: buffer.readableBytes)
    }

    /// Makes a body from these bytes.
    public static func bytes(_ bytes: some Sequence<UInt8>) -> RequestBody {
        .bytes(ByteBuffer(bytes: bytes))
    }

    /// Makes a body from this text, in UTF-8.
    public static func text(_ text: String) -> RequestBody {
        .bytes(ByteBuffer(string: text))
    }

    /// Makes a body from names and values, encoded like a browser's form (`application/x-www-form-urlencoded`).
    public static func form(_ items: QueryItems) -> RequestBody {
        var body = RequestBody.text(items.formEncoded)
        body.contentType = "application/x-www-form-urlencoded"
        return body
    }

    /// Makes a body from a sequence that can be read once.
    ///
    /// A request that fails or is cancelled ends the sequence. But if it fails with the progress `neverSent`, and
    /// nothing of the sequence was read, you may send the same body with another request.
    ///
    /// - Parameters:
    ///   - sequence: The chunks; empty chunks are skipped. If the sequence throws, the request fails with
    ///     `requestBodyFailed`. The incomplete request ends: over HTTP/1.1 the connection closes, over HTTP/2 the
    ///     stream is reset.
    ///   - length: How many bytes the sequence yields, 0 or more. If it yields fewer or more, the request fails with
    ///     `requestBodyLengthMismatch`. nil: unknown, sent chunked.
    public static func stream<Chunks: AsyncSequence & Sendable>(
        _ sequence: Chunks, length: Int? = nil
    ) -> RequestBody where Chunks.Element == ByteBuffer {
        RequestBody(.stream(OneShotBody(RequestBodySequence(sequence))), length: length)
    }

    /// Makes a body that gets a new sequence from `make` for each attempt.
    ///
    /// - Parameters:
    ///   - length: How many bytes each sequence yields; nil: unknown, sent chunked.
    ///   - make: Makes the sequence. If it throws, the request fails with `requestBodyFailed`.
    public static func replayable<Chunks: AsyncSequence & Sendable>(
        length: Int? = nil, _ make: @escaping @Sendable () async throws -> Chunks
    ) -> RequestBody where Chunks.Element == ByteBuffer {
        RequestBody(.factory { RequestBodySequence(try await make()) }, length: length)
    }

    /// Makes a body for a file that was empty when the body was made. Each attempt checks the file again before it
    /// sends `Content-Length: 0`.
    package static func emptyFile<Chunks: AsyncSequence & Sendable>(
        _ make: @escaping @Sendable () async throws -> Chunks
    ) -> RequestBody where Chunks.Element == ByteBuffer {
        RequestBody(.emptyFile { RequestBodySequence(try await make()) }, length: 0)
    }

    /// Whether both are the same one-shot stream.
    package func isSameStream(as other: RequestBody) -> Bool {
        if case .stream(let own) = kind, case .stream(let others) = other.kind { own === others } else { false }
    }

    /// Whether the body is a file that was empty, so that ``confirmedEmpty()`` has to check it before an attempt.
    package var wasEmptyFile: Bool {
        if case .emptyFile = kind { length == 0 } else { false }
    }

    /// Checks that the file is still empty, and returns an empty body to send instead.
    ///
    /// - Throws: `RequestBodyFailure` with `requestBodyLengthMismatch` if the file has content now; any error of
    ///   reading the file.
    package func confirmedEmpty() async throws -> RequestBody {
        var reader = try await makeReader(replayLimit: 0)
        guard try await reader.next() == nil else {
            throw RequestBodyFailure(
                ServiceError(
                    .requestBodyLengthMismatch, "the request body is longer than its declared length of 0 bytes"))
        }
        var body = RequestBody.bytes(ByteBuffer())
        body.contentType = contentType
        body.makeTrailers = makeTrailers
        return body
    }

    /// Returns this body followed by trailer fields (RFC 9110 §6.5). `make` is called after the body has been sent.
    ///
    /// Forces chunked framing. The request fails if `make` returns a field that must not be a trailer (framing,
    /// routing, authentication).
    public func trailers(_ make: @escaping @Sendable () async throws -> HTTPFields) -> RequestBody {
        var body = RequestBody(kind, length: nil)
        body.contentType = contentType
        body.makeTrailers = make
        return body
    }

    /// Whether the body can now be sent from its beginning.
    public var isReplayable: Bool {
        switch kind {
        case .none, .bytes, .factory, .emptyFile: true
        case .stream(let stream): stream.isReplayable
        }
    }

    /// Whether the request has no body.
    package var isNone: Bool {
        if case .none = kind { true } else { false }
    }

    /// Whether the bytes come from a sequence, so that they are not in memory.
    package var isSequence: Bool {
        switch kind {
        case .factory, .emptyFile, .stream: true
        case .none, .bytes: false
        }
    }

    package func validate() throws {
        if let length, length < 0 {
            throw ServiceError(.invalidRequest, "body.length must not be negative, is \(length)")
        }
    }
}

/// A type-erased sequence of chunks.
package struct RequestBodySequence: Sendable {
    private let make: @Sendable () -> Iterator

    init<Chunks: AsyncSequence & Sendable>(_ chunks: Chunks) where Chunks.Element == ByteBuffer {
        make = { Iterator(chunks.makeAsyncIterator()) }
    }

    func makeIterator() -> Iterator { make() }

    /// The position of one reader in the sequence.
    // The iterator has one owner, which reads one chunk at a time: `OneShotBody` (`isPulling`), `SequenceBodySource`
    // (`isReading`), one upload's task, or the one task of a `Chunks.AsyncIterator`, which is not `Sendable`.
    // Safety: the owner calls `next()` only after the previous call has returned, so two threads never use it at once.
    final class Iterator: @unchecked Sendable {
        private var base: any AsyncIteratorProtocol

        init(_ base: some AsyncIteratorProtocol) {
            self.base = base
        }

        func next() async throws -> ByteBuffer? {
            try await base.next(isolation: nil) as? ByteBuffer
        }
    }
}
