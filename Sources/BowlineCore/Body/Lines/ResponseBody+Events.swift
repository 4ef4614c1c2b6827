extension ResponseBody {
    /// Reads the body as an event stream (`text/event-stream`, WHATWG HTML §9.2).
    ///
    /// Lines end in LF, CRLF or CR; an event is there as soon as its empty line is. Comments and unknown fields are ignored. An
    /// event that the end of the body cuts off is dropped, as the standard says. Neither the status nor the content type is
    /// looked at. Nothing is asked for anew when the stream ends: `id` and `retry` of the last event say how to do that.
    ///
    /// Chunks are read as events are asked for: reading slowly slows the peer down. The body is read by this; it cannot be read a
    /// second time. Leaving the loop early gives up the rest when the response is released, and ``discard()`` does at once.
    /// Give the request `timeouts.total = .unlimited`, and a `timeouts.bodyIdle` longer than the service's pauses.
    ///
    /// - Parameter maximum: How long a line, and the data of an event, may be in bytes; 0 or more. Default 1 MiB.
    public func serverSentEvents(maximum: Int = 1 << 20) -> ServerSentEvents {
        ServerSentEvents(body: self, maximum: maximum)
    }

    /// The events of a body.
    public struct ServerSentEvents: AsyncSequence, Sendable {
        /// An event.
        public typealias Element = ServerSentEvent
        /// ``ServiceError`` or `CancellationError`.
        public typealias Failure = any Error

        let body: ResponseBody
        let maximum: Int

        /// Reads the events.
        ///
        /// - Throws (from `next()`): ``ServiceError`` `bodyTooLarge` for a line, or the data of an event, that is too long, after
        ///   which the rest is given up; else as ``ResponseBody/makeAsyncIterator()``. `CancellationError` when the
        ///   reading task is cancelled, which gives the body up.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(
                reader: LineReader(body, maximum: maximum, endingIn: .any), assembler: EventAssembler(maximum: maximum))
        }

        /// The reader of a body's events.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var reader: LineReader
            var assembler: EventAssembler

            /// The next event; nil at the end.
            public mutating func next() async throws -> ServerSentEvent? {
                try await next(isolation: nil)
            }

            /// The next event; nil at the end.
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
