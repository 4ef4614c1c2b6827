package import NIOCore

/// Reads a body line by line.
package struct LineReader {
    private let body: ResponseBody
    private let maximum: Int
    private var chunks: ResponseBody.AsyncIterator
    private var splitter: LineSplitter
    private var isOver = false

    /// - Parameter maximum: How long a line may be; negative counts as zero.
    package init(_ body: ResponseBody, maximum: Int, endingIn ending: LineSplitter.Ending) {
        self.body = body
        // A buffer holds no more.
        self.maximum = min(max(maximum, 0), Int(Int32.max))
        chunks = body.makeAsyncIterator()
        splitter = LineSplitter(ending)
    }

    /// The next line without its end; nil at the end.
    package mutating func next(isolation actor: isolated (any Actor)?) async throws -> ByteBuffer? {
        guard !isOver else { return nil }
        do {
            while true {
                if let line = try splitter.next(maximum: maximum) { return line }
                guard let chunk = try await chunks.next(isolation: actor) else { break }
                splitter.append(chunk)
            }
            isOver = true
            // The sequence of a body that was made by hand may take its cancellation for its end.
            try Task.checkCancellation()
            return try splitter.finish(maximum: maximum)
        } catch is LineSplitter.TooLong {
            throw tooLong("a line of the response body")
        } catch {
            isOver = true
            throw error
        }
    }

    /// Gives up the body after an error of the lines' reader.
    package mutating func fail(with error: ServiceError) -> ServiceError {
        isOver = true
        body.discard()
        return body.describing(error)
    }

    /// Gives up the body, because a part of it is longer than it may be.
    mutating func tooLong(_ what: String) -> ServiceError {
        fail(
            with: ServiceError(
                .bodyTooLarge, "\(what) is longer than \(maximum) bytes", progress: .responseStarted,
                phase: .receivingBody))
    }
}
