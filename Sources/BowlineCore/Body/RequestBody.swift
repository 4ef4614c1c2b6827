public import NIOCore

/// The body of a request. It knows whether it can be sent again.
///
/// - Bytes can always be sent again.
/// - A factory makes a new sequence for each attempt, so it can always be sent again.
/// - A stream is read once. Its read part is kept (64 KiB unless configured otherwise) so that an attempt that
///   fails early can be repeated; past that, or once a response has begun, the attempt is committed.
///
/// A sequence is asked for its next chunk only when the previous one was taken by the network.
public struct RequestBody: Sendable {
    package enum Kind: Sendable {
        case none
        case bytes(ByteBuffer)
        case factory(@Sendable () async throws -> RequestBodySequence)
        /// A factory whose sequence was empty when it was looked at, and that answers at once when it is asked again.
        case emptyFile(@Sendable () async throws -> RequestBodySequence)
        case stream(OneShotBody)
    }

    package let kind: Kind
    /// The number of bytes, if known: sent as `Content-Length`. nil: sent chunked.
    public let length: Int?
    /// The media type, unless the request has a `Content-Type` of its own; nil: none is sent. Forms and
    /// encoded values set it; set it yourself for other bodies.
    public var contentType: String?
    /// Makes the trailer fields once the body has been sent; only a body of unknown length can have them.
    package var makeTrailers: (@Sendable () async throws -> HTTPFields)?

    private init(_ kind: Kind, length: Int?) {
        self.kind = kind
        self.length = length
    }

    /// No body. POST, PUT and PATCH then say `Content-Length: 0`.
    public static let none = RequestBody(.none, length: 0)

    /// These bytes.
    public static func bytes(_ buffer: ByteBuffer) -> RequestBody {
        RequestBody(.bytes(buffer), length: buffer.readableBytes)
    }

    /// These bytes.
    public static func bytes(_ bytes: some Sequence<UInt8>) -> RequestBody {
        .bytes(ByteBuffer(bytes: bytes))
    }

    /// This text in UTF-8.
    public static func text(_ text: String) -> RequestBody {
        .bytes(ByteBuffer(string: text))
    }

    /// Names and values as browsers send a form (`application/x-www-form-urlencoded`).
    public static func form(_ items: QueryItems) -> RequestBody {
        var body = RequestBody.text(items.formEncoded)
        body.contentType = "application/x-www-form-urlencoded"
        return body
    }

    /// A sequence that can be read once.
    ///
    /// - Parameters:
    ///   - sequence: The chunks; empty ones are skipped. If it throws, the request fails with `requestBodyFailed` and
    ///     the connection closes before the request is complete.
    ///   - length: How many bytes it will yield, 0 or more; a shorter or longer body fails with
    ///     `requestBodyLengthMismatch`. nil: unknown, sent chunked.
    public static func stream<Chunks: AsyncSequence & Sendable>(
        _ sequence: Chunks, length: Int? = nil
    ) -> RequestBody where Chunks.Element == ByteBuffer {
        RequestBody(.stream(OneShotBody(RequestBodySequence(sequence))), length: length)
    }

    /// A sequence that `make` makes anew for each attempt.
    ///
    /// - Parameters:
    ///   - length: How many bytes it will yield each time; nil: unknown, sent chunked.
    ///   - make: Makes the sequence; its error fails the request with `requestBodyFailed`.
    public static func replayable<Chunks: AsyncSequence & Sendable>(
        length: Int? = nil, _ make: @escaping @Sendable () async throws -> Chunks
    ) -> RequestBody where Chunks.Element == ByteBuffer {
        RequestBody(.factory { RequestBodySequence(try await make()) }, length: length)
    }

    /// A file that was empty when it was looked at: it is looked at again before each attempt sends `Content-Length: 0`.
    package static func emptyFile<Chunks: AsyncSequence & Sendable>(
        _ make: @escaping @Sendable () async throws -> Chunks
    ) -> RequestBody where Chunks.Element == ByteBuffer {
        RequestBody(.emptyFile { RequestBodySequence(try await make()) }, length: 0)
    }

    /// Whether both are the same one-shot stream.
    package func isSameStream(as other: RequestBody) -> Bool {
        if case .stream(let own) = kind, case .stream(let others) = other.kind { own === others } else { false }
    }

    /// Whether it is a file that was empty, and that ``confirmedEmpty()`` has to look at again.
    package var isSaidToBeEmpty: Bool {
        if case .emptyFile = kind { length == 0 } else { false }
    }

    /// An empty body in place of a file that is still empty.
    ///
    /// - Throws: `RequestBodyFailure` with `requestBodyLengthMismatch` if the file has content now; any error of reading it.
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

    /// This body followed by trailer fields, made once the body has been sent (RFC 9110 §6.5).
    ///
    /// Forces chunked framing. Trailers that may not be sent (framing, routing, authentication) fail the request.
    public func trailers(_ make: @escaping @Sendable () async throws -> HTTPFields) -> RequestBody {
        var body = RequestBody(kind, length: nil)
        body.contentType = contentType
        body.makeTrailers = make
        return body
    }

    /// Whether it can be sent from its beginning (again) now.
    public var isReplayable: Bool {
        switch kind {
        case .none, .bytes, .factory, .emptyFile: true
        case .stream(let stream): stream.isReplayable
        }
    }

    /// Whether there is nothing to send.
    package var isNone: Bool {
        if case .none = kind { true } else { false }
    }

    /// Whether its bytes are yet to come, from a sequence.
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

    /// One reader's place in the sequence.
    // Asked for one chunk at a time by `OneShotBody` (`isPulling`), `SequenceBodySource` (`isReading`), one upload's task, or
    // the one task that a `Chunks.AsyncIterator` belongs to, which is not `Sendable`.
    // Safety: each owner asks for the next chunk only after the one before: no two threads are ever in it at once.
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
