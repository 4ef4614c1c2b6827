internal import Bowline
internal import OpenAPIRuntime

extension HTTPBody {
    /// The body of a response: may be iterated once, and has the length that the response announced.
    convenience init(receiving body: ResponseBody) {
        let length: Length = body.announcedLength.map { .known(Int64($0)) } ?? .unknown
        self.init(ResponseChunks(body: body), length: length, iterationBehavior: .single)
    }
}

/// The chunks of a response's body as the runtime reads them; the next is asked for when the one before was taken.
///
/// The body is given up when nobody can read on: the sequence was dropped unread, or its iterator was dropped.
struct ResponseChunks: AsyncSequence, Sendable {
    typealias Element = HTTPBody.ByteChunk
    typealias Failure = any Error

    let body: ResponseBody

    func makeAsyncIterator() -> Iterator { Iterator(body: body) }

    struct Iterator: AsyncIteratorProtocol {
        private var chunks: ResponseBody.AsyncIterator
        private let reading: Reading

        init(body: ResponseBody) {
            chunks = body.makeAsyncIterator()
            reading = Reading(body: body)
        }

        mutating func next() async throws -> HTTPBody.ByteChunk? {
            guard let chunk = try await chunks.next() else { return nil }
            return HTTPBody.ByteChunk(chunk.readableBytesView)
        }
    }

    /// Gives the body up at the end of its one iterator, even if the `HTTPBody` is still held: an error of the runtime
    /// holds it.
    private final class Reading: Sendable {
        let body: ResponseBody

        init(body: ResponseBody) {
            self.body = body
        }

        deinit { body.discard() }
    }
}
