internal import BowlineCore

extension ResponseBody {
    /// How much of a failed response is kept, to be returned if there is no other attempt after all.
    private static let keptBytes = 65_536
    /// How long these bytes may take to arrive.
    private static let keptWithin = Duration.milliseconds(50)

    /// Returns the same body, read into memory so that it holds no connection. For a response that another attempt is
    /// to replace.
    ///
    /// A body of at most 64 KiB that arrives within 50 ms is kept; a longer or slower one is discarded. Takes at most
    /// half of the time that is left until the deadline, because the next attempt needs time too.
    func withoutConnection(before deadline: Deadline?, clock: any ServiceClock) async -> ResponseBody {
        // Nothing to wait for, so the clock need not be read.
        if isHere { return self }
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

    /// The body of a response that was given up for an attempt that then did not begin.
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
