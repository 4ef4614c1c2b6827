extension ResponseBody {
    /// Reads the body as an event stream (`text/event-stream`, WHATWG HTML §9.2).
    ///
    /// Lines end in LF, CRLF or CR. An event is delivered when its empty line has arrived. Comments and unknown fields
    /// are ignored. If the body ends within an event, that event is dropped, as the standard requires. The status and
    /// the content type are not checked. The client does not reconnect when the stream ends. To reconnect yourself, use
    /// `id` and `retry` of the last event.
    ///
    /// Chunks are read only when you read the next event, so a slow reader slows the peer down. Reading the events
    /// consumes the body: it cannot be read a second time. If you leave the loop early, the rest is discarded when the
    /// response is released. ``discard()`` discards it at once. Give the request `timeouts.total = .unlimited`, and a
    /// `timeouts.bodyIdle` longer than the service's pauses.
    ///
    /// - Parameter maximum: The maximum number of bytes of a line, and also of the data of an event; 0 or more. Default
    ///   1 MiB.
    public func serverSentEvents(maximum: Int = 1 << 20) -> ServerSentEvents {
        ServerSentEvents(body: self, maximum: maximum)
    }

    /// The events of a body.
    public struct ServerSentEvents: AsyncSequence, Sendable {
        /// An event.
        public typealias Element = ServerSentEvent
        /// The errors are ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: ResponseBody
        let maximum: Int

        /// Reads the events.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `bodyTooLarge` if a line or the data of an event is too long; any
        ///   other error of ``ResponseBody/makeAsyncIterator()``; `CancellationError` when the reading task is
        ///   cancelled. After `bodyTooLarge` and after a cancellation, the rest of the body is discarded.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(
                reader: LineReader(body, maximum: maximum, endingIn: .any), assembler: EventAssembler(maximum: maximum))
        }

        /// The reader of a body's events.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var reader: LineReader
            var assembler: EventAssembler

            /// Returns the next event; nil at the end.
            public mutating func next() async throws -> ServerSentEvent? {
                try await next(isolation: nil)
            }

            /// Returns the next event; nil at the end.
            public mutating func next(isolation actor: isolated (any Actor)?) async throws -> ServerSentEvent? {
                while let line = try await reader.next(isolation: actor) {
                    do {
                        if let event = try assembler.line(line) { return event }
                    } catch {
                        throw reader.tooLong("the data of an event")
                    }
                }
                return nil
            }
        }
    }
}
