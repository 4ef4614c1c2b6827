internal import NIOCore

/// A stream that can be read once. It pulls a chunk from its sequence when a reader waits for one, and keeps the first
/// bytes for replay.
///
/// The body pulls chunks in its own task, not in the task of the attempt that sends it. So an attempt that ends during
/// a pull loses no chunk: the next attempt receives that chunk.
package final class OneShotBody: Sendable {
    private typealias Continuation = CheckedContinuation<Piece?, any Error>
    private typealias State = OneShotBodyState<Continuation, Task<Void, Never>>

    /// Bytes for a reader, and the reader's position after them.
    private struct Piece: Sendable {
        let chunk: ByteBuffer
        let next: OneShotPosition
    }

    private let state = Guarded(State())
    private let source: RequestBodySequence.Iterator

    init(_ sequence: RequestBodySequence) {
        source = sequence.makeIterator()
    }

    /// Whether a reader could still start from the first byte.
    var isReplayable: Bool {
        state.withLock { $0.isReplayable }
    }

    /// Whether no reader has started, and the body can still be sent.
    var isUntouched: Bool {
        state.withLock { $0.isUntouched }
    }

    /// Ends replay: from now on each chunk is dropped when it is read.
    package func commit() {
        state.withLock { $0.commit() }
    }

    /// Ends the stream early. Cancels the sequence's pending `next()`.
    package func abandon() {
        let (waiter, pull) = state.withLock { $0.abandon() }
        pull?.cancel()
        waiter?.resume(throwing: CancellationError())
    }

    /// Starts reading from the first byte.
    ///
    /// - Throws: ``ServiceError`` `requestBodyConsumed` if the beginning was dropped.
    func makeReader(replayLimit: Int) throws -> Reader {
        guard state.withLock({ $0.beginReading(replayLimit: replayLimit) }) else {
            throw ServiceError.oneShotBodyConsumed
        }
        return Reader(body: self)
    }

    /// The position of one attempt in the body.
    struct Reader {
        let body: OneShotBody
        private var position = OneShotPosition()

        init(body: OneShotBody) {
            self.body = body
        }

        mutating func next() async throws -> ByteBuffer? {
            guard let piece = try await body.piece(at: position) else { return nil }
            position = piece.next
            return piece.chunk
        }
    }

    private func piece(at position: OneShotPosition) async throws -> Piece? {
        switch state.withLock({ $0.read(at: position) }) {
        case .chunk(let chunk, let next): return Piece(chunk: chunk, next: next)
        case .ended: return nil
        case .failed(let error): throw error
        case .wait: break
        }
        let number = state.withLock { $0.makeWaitNumber() }
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            wait(continuation, number: number, at: position)
        } onCancel: {
            state.withLock { $0.stopWaiting(number) }?.resume(throwing: CancellationError())
        }
    }

    /// Stores the continuation, or returns the result to resume it with.
    private func wait(
        _ continuation: Continuation, number: Int, at position: OneShotPosition
    ) -> Result<Piece?, any Error>? {
        let wait = state.withLock { state in
            // `isCancelled` is read under the lock: a cancellation is either seen here, or finds the stored waiter.
            state.wait(continuation, number: number, at: position, isCancelled: Task.isCancelled)
        }
        switch wait {
        case .answered(let step): return result(of: step)
        case .waiting(let pull, let superseded):
            superseded?.resume(throwing: CancellationError())
            if let pull { startPull(pull) }
            return nil
        }
    }

    private func startPull(_ number: Int) {
        let pull = Task.inheriting { [self] in
            do {
                var chunk = try await source.next()
                while let empty = chunk, empty.readableBytes == 0 { chunk = try await source.next() }
                let pulled = chunk
                deliver(state.withLock { $0.pulled(pulled) })
            } catch {
                deliver(state.withLock { $0.pullFailed(error) })
            }
        }
        if state.withLock({ $0.pullStarted(number, pull) }) { pull.cancel() }
    }

    private func deliver(_ delivery: (waiter: Continuation, step: State.Step)?) {
        guard let (waiter, step) = delivery else { return }
        waiter.resume(with: result(of: step))
    }

    private func result(of step: State.Step) -> Result<Piece?, any Error> {
        switch step {
        case .chunk(let chunk, let next): .success(Piece(chunk: chunk, next: next))
        case .ended: .success(nil)
        case .failed(let error): .failure(error)
        case .wait: .failure(CancellationError())
        }
    }
}
