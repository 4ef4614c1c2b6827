internal import NIOCore

extension ResponseBody {
    /// Reads the body as lines of text.
    ///
    /// A line ends in LF or CRLF, which are not part of it. The bytes after the last end are a line too, unless there are none. The
    /// text is UTF-8: a byte order mark at the beginning is dropped, and bytes that are not valid become U+FFFD.
    ///
    /// Chunks are read as lines are asked for: reading slowly slows the peer down, and no more than a line and a chunk are in
    /// memory. The body is read by this; it cannot be read a second time. Leaving the loop early gives up the rest when the
    /// response is released, and ``discard()`` does at once. `timeouts.bodyIdle` and `timeouts.total` count as for any reader.
    ///
    /// - Parameter maximum: How long a line may be in bytes, without its end; 0 or more. Default 1 MiB.
    public func lines(maximum: Int = 1 << 20) -> Lines { Lines(body: self, maximum: maximum) }

    /// The lines of a body.
    public struct Lines: AsyncSequence, Sendable {
        /// A line without its end.
        public typealias Element = String
        /// ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: ResponseBody
        let maximum: Int

        /// Reads the lines.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `bodyTooLarge` for a line that is too long, after which the rest is given
        ///   up; else as ``ResponseBody/makeAsyncIterator()``. `CancellationError` when the reading task is cancelled,
        ///   which gives the body up.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(reader: LineReader(body, maximum: maximum, endingIn: .lineFeed))
        }

        /// The reader of a body's lines.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var reader: LineReader

            /// The next line; nil at the end.
            public mutating func next() async throws -> String? {
                try await next(isolation: nil)
            }

            /// The next line; nil at the end.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> String? {
                try await reader.next(isolation: actor).map { String(decoding: $0.readableBytesView, as: UTF8.self) }
            }
        }
    }
}
