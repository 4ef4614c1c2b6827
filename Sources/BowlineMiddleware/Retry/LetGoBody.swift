internal import BowlineCore

extension ResponseBody {
    /// How much of a failed response is kept, to be returned if there is no other attempt after all.
    private static let keptBytes = 65_536
    /// How long that much may take to arrive.
    private static let keptWithin = Duration.milliseconds(50)

    /// The same body without its hold on a connection, for a response that another attempt is to replace: a short one is
    /// taken off, a longer or slower one given up. Takes no more than half of what is left until the deadline: whatever
    /// comes after it needs time too.
    func letGo(before deadline: Deadline?, clock: any ServiceClock) async -> ResponseBody {
        // Nothing to wait for, so nothing that a clock would have to be asked for.
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

    /// The body of a response that was let go of before an attempt which then never came.
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
