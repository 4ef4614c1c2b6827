internal import NIOCore

extension ResponseBody {
    /// Reads the body as lines of text.
    ///
    /// A line ends in LF or CRLF, which is not part of it. Bytes after the last line end are a line too. The text is
    /// UTF-8: a byte order mark at the beginning is dropped, and invalid bytes become U+FFFD.
    ///
    /// Chunks are read only when you read the next line. So a slow reader slows the peer down, and no more than a line
    /// and a chunk are in memory. Reading the lines consumes the body: it cannot be read a second time. If you leave
    /// the loop early, the rest is discarded when the response is released. ``discard()`` discards it at once.
    /// `timeouts.bodyIdle` and `timeouts.total` apply as for any reader.
    ///
    /// - Parameter maximum: The maximum number of bytes of a line, without its line end; 0 or more. Default 1 MiB.
    public func lines(maximum: Int = 1 << 20) -> Lines { Lines(body: self, maximum: maximum) }

    /// The lines of a body.
    public struct Lines: AsyncSequence, Sendable {
        /// A line without its line end.
        public typealias Element = String
        /// The errors are ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: ResponseBody
        let maximum: Int

        /// Reads the lines.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `bodyTooLarge` if a line is too long; any other error of
        ///   ``ResponseBody/makeAsyncIterator()``; `CancellationError` when the reading task is cancelled. After
        ///   `bodyTooLarge` and after a cancellation, the rest of the body is discarded.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(reader: LineReader(body, maximum: maximum, endingIn: .lineFeed))
        }

        /// The reader of a body's lines.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var reader: LineReader

            /// Returns the next line; nil at the end.
            public mutating func next() async throws -> String? {
                try await next(isolation: nil)
            }

            /// Returns the next line; nil at the end.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> String? {
                try await reader.next(isolation: actor).map { String(decoding: $0.readableBytesView, as: UTF8.self) }
            }
        }
    }
}
