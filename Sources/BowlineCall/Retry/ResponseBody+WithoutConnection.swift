internal import BowlineCore

extension ResponseBody {
    /// How many bytes of a failed response's body are kept. The caller gets them if no other attempt begins.
    private static let keptBytes = 65_536
    /// How long these bytes may take to arrive.
    private static let keptWithin = Duration.milliseconds(50)

    /// Reads the body into memory, so that it holds no connection. Used for a response that another attempt is to
    /// replace.
    ///
    /// A body of at most 64 KiB that arrives within 50 ms is kept; a longer or slower body is discarded. The wait takes
    /// at most half of the time until the deadline, because the next attempt needs time too.
    func withoutConnection(before deadline: Deadline?, clock: any ServiceClock) async -> ResponseBody {
        // The body is in memory already, so the clock need not be read.
        if isInMemory { return self }
        let now = clock.now
        let left = deadline.map { now.duration(to: $0.instant) } ?? .seconds(1)
        let limit = left < Self.keptWithin * 2 ? left / 2 : Self.keptWithin
        let bytes = await withTaskGroup(of: ByteBuffer?.self) { group in
            group.addTask { try? await self.collect(upTo: Self.keptBytes) }
            group.addTask {
                try? await clock.sleep(until: now.advanced(by: limit), tolerance: nil)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        guard let bytes else {
            discard()
            return .givenUp
        }
        return ResponseBody(received: bytes, trailers: trailers, attempt: attempt)
    }

    /// A placeholder for a body that was discarded because another attempt was to begin. If that attempt does not
    /// begin, the caller gets this placeholder. Reading it throws `bodyAlreadyConsumed`.
    private static var givenUp: ResponseBody {
        ResponseBody(
            AsyncThrowingStream<ByteBuffer, any Error> { continuation in
                continuation.finish(
                    throwing: ServiceError(
                        .bodyAlreadyConsumed, "the body was given up before another attempt that then did not come",
                        progress: .responseStarted, phase: .receivingBody
                    ))
            })
    }
}
