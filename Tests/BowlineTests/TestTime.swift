import Bowline
import BowlineTesting
import NIOCore
import Testing

extension TestClock {
    /// Runs `operation`; once `isReady` has returned, moves the clock from one deadline to the next until it has ended.
    ///
    /// Times are exact if only one limit is set, because then nothing else moves the clock.
    ///
    /// - Parameter last: The clock is not moved beyond this instant. So a later limit cannot pass while the code that
    ///   ends the operation waits for a thread.
    func run<Success: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Success,
        noLaterThan last: MonotonicInstant = .distantFuture,
        once isReady: () async throws -> Void = {}
    ) async throws -> Result<Success, any Error> {
        let done = Gate()
        let task = Task {
            defer { done.open() }
            return try await operation()
        }
        do {
            try await isReady()
            try await eventually("the end of what the clock drives") {
                if done.isOpen { return true }
                if let next = nextDeadline, next <= last { advanceToNextDeadline() }
                return done.isOpen
            }
        } catch {
            task.cancel()
            _ = await task.result
            throw error
        }
        return await task.result
    }

    /// Like ``run(_:once:)``, for an operation that must fail with a `ServiceError`.
    func failure<Success: Sendable>(
        of operation: @escaping @Sendable () async throws -> Success,
        noLaterThan last: MonotonicInstant = .distantFuture,
        once isReady: () async throws -> Void = {}, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> ServiceError {
        let result = try await run(operation, noLaterThan: last, once: isReady)
        let error = #expect(throws: ServiceError.self, sourceLocation: sourceLocation) { _ = try result.get() }
        return try #require(error, sourceLocation: sourceLocation)
    }
}

extension ClientConfiguration {
    /// No limit of any kind and one attempt, on this clock: the starting point of a test of one limit.
    mutating func useOnly(_ clock: TestClock) {
        self.clock = clock
        retry = .never
        timeouts.connect = nil
        timeouts.poolAcquire = nil
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        timeouts.attempt = nil
        timeouts.total = nil
        pool.idleTimeout = nil
        pool.maximumLifetime = nil
    }
}

/// Waits until the result of `value` has not changed for a while. For conditions without an event, such as a full
/// socket.
func settled(_ awaited: String, within timeout: Duration = .seconds(10), _ value: () -> Int) async throws -> Int {
    var last = value()
    var unchanged = 0
    try await eventually("\(awaited) to settle", within: timeout) {
        let now = value()
        unchanged = now == last ? unchanged + 1 : 0
        last = now
        return unchanged >= 60
    }
    return last
}

/// Chunks that a test hands out one by one.
struct HandedOutChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    /// Open when the sequence's pending read was cancelled, or its iterator released: no reader is left.
    let cancelled = Gate()
    /// Open when a chunk has been asked for. A request that ends before that leaves the sequence unread.
    let asked = Gate()
    private let stream: AsyncThrowingStream<ByteBuffer, any Error>
    let hand: AsyncThrowingStream<ByteBuffer, any Error>.Continuation

    init() {
        (stream, hand) = AsyncThrowingStream.makeStream()
        let cancelled = cancelled
        hand.onTermination = { if case .cancelled = $0 { cancelled.open() } }
    }

    func give(_ text: String) { hand.yield(ByteBuffer(string: text)) }

    func makeAsyncIterator() -> Iterator {
        Iterator(base: stream.makeAsyncIterator(), asked: asked, life: Life(cancelled))
    }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate var base: AsyncThrowingStream<ByteBuffer, any Error>.AsyncIterator
        fileprivate let asked: Gate
        fileprivate let life: Life

        mutating func next() async throws -> ByteBuffer? {
            asked.open()
            return try await base.next()
        }
    }

    fileprivate final class Life: Sendable {
        private let end: Gate

        init(_ end: Gate) { self.end = end }

        deinit { end.open() }
    }
}

/// Endless chunks, or a limited number. Counts the chunks that were taken.
struct CountedChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    private final class Counter: Sendable {
        let taken = Guarded(0)
    }

    private let counter = Counter()
    let size: Int
    let limit: Int

    init(of size: Int, limit: Int = .max) {
        self.size = size
        self.limit = limit
    }

    /// The number of bytes that were asked for.
    var bytesTaken: Int { counter.taken.withLock { $0 } * size }

    func makeAsyncIterator() -> Iterator {
        Iterator(chunks: self, chunk: ByteBuffer(repeating: 0x61, count: size))
    }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let chunks: CountedChunks
        fileprivate let chunk: ByteBuffer

        func next() async -> ByteBuffer? {
            let isMore = chunks.counter.taken.withLock { taken in
                guard taken < chunks.limit else { return false }
                taken += 1
                return true
            }
            return isMore ? chunk : nil
        }
    }
}
