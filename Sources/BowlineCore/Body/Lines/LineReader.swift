package import NIOCore

/// A reader of the lines of a body.
package struct LineReader {
    private let body: ResponseBody
    private let maximum: Int
    private var chunks: ResponseBody.AsyncIterator
    private var splitter: LineSplitter
    private var isOver = false

    /// - Parameter maximum: The maximum number of bytes of a line. A negative number counts as zero.
    package init(_ body: ResponseBody, maximum: Int, endingIn ending: LineSplitter.Ending) {
        self.body = body
        // A `ByteBuffer` cannot contain more bytes.
        self.maximum = min(max(maximum, 0), Int(Int32.max))
        chunks = body.makeAsyncIterator()
        splitter = LineSplitter(ending)
    }

    /// Returns the next line without its line end; nil at the end of the body.
    package mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
        guard !isOver else { return nil }
        do {
            while true {
                if let line = try splitter.next(maximum: maximum) { return line }
                guard let chunk = try await chunks.next(isolation: actor) else { break }
                splitter.append(chunk)
            }
            isOver = true
            // The body may be made from a user's sequence, which may end normally when its task is cancelled.
            try Task.checkCancellation()
            return try splitter.finish(maximum: maximum)
        } catch is LineSplitter.TooLong {
            throw tooLong("a line of the response body")
        } catch {
            isOver = true
            throw error
        }
    }

    /// Discards the body after an error in its lines. Returns `error` with the facts of the call and the response.
    package mutating func fail(with error: ServiceError) -> ServiceError {
        isOver = true
        body.discard()
        return body.describing(error)
    }

    /// Discards the body because a part of it is too long, and returns the error.
    mutating func tooLong(_ what: String) -> ServiceError {
        fail(
            with: ServiceError(
                .bodyTooLarge, "\(what) is longer than \(maximum) bytes", progress: .responseStarted,
                phase: .receivingBody))
    }
}
