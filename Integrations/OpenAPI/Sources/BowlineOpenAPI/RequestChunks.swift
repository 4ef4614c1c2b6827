internal import Bowline
internal import OpenAPIRuntime

extension RequestBody {
    /// The body of an operation: replayable if it may be iterated several times, else a one-shot stream, of its length if
    /// that is known.
    static func sending(_ body: HTTPBody) -> RequestBody {
        let length: Int? =
            switch body.length {
            case .known(let count): Int(clamping: count)
            case .unknown: nil
            }
        return switch body.iterationBehavior {
        case .multiple: .replayable(length: length) { RequestChunks(body: body) }
        case .single: .stream(RequestChunks(body: body), length: length)
        }
    }
}

/// The chunks of an operation's body, in pieces of at most ``largestPiece`` bytes.
struct RequestChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    typealias Failure = any Error

    /// A body is often one chunk. With pieces of this size, an upload makes progress with each piece. So
    /// `timeouts.bodyIdle` ends an upload to a peer that reads nothing, and does not end an upload to a slow peer.
    static let largestPiece = 131_072

    let body: HTTPBody

    func makeAsyncIterator() -> Iterator { Iterator(body: body) }

    struct Iterator: AsyncIteratorProtocol {
        private let body: HTTPBody
        /// Made when the first chunk is asked for: a one-shot body that no attempt has read may still be sent by another call.
        private var chunks: HTTPBody.Iterator?
        private var rest: HTTPBody.ByteChunk = []

        init(body: HTTPBody) {
            self.body = body
        }

        mutating func next() async throws -> ByteBuffer? {
            if rest.isEmpty {
                guard let chunk = try await nextChunk() else { return nil }
                rest = chunk
            }
            let piece = rest.prefix(RequestChunks.largestPiece)
            rest = rest.dropFirst(piece.count)
            return ByteBuffer(bytes: piece)
        }

        private mutating func nextChunk() async throws -> HTTPBody.ByteChunk? {
            var chunks = chunks ?? body.makeAsyncIterator()
            defer { self.chunks = chunks }
            return try await chunks.next()
        }
    }
}
