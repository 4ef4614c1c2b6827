internal import NIOCore

/// The road of a stream that can be read once: pulls its sequence on demand, and keeps the beginning for replay.
///
/// Chunks are pulled by a task of the body's own, not by the attempt that sends it: an attempt that ends while a pull
/// is under way takes nothing with it, and the next one receives that chunk.
package final class OneShotBody: Sendable {
    private typealias Continuation = CheckedContinuation<Piece?, any Error>
    private typealias State = OneShotBodyState<Continuation, Task<Void, Never>>

    /// Bytes for a reader, and where it is after them.
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

    /// Gives up replay: from now on chunks are forgotten as soon as they are read.
    package func commit() {
        state.withLock { $0.commit() }
    }

    /// Ends the stream without a reader. The sequence's pending `next()` is cancelled.
    package func abandon() {
        let (waiter, pull) = state.withLock { $0.abandon() }
        pull?.cancel()
        waiter?.resume(throwing: CancellationError())
    }

    /// Starts reading from the first byte.
    ///
    /// - Throws: ``ServiceError`` `requestBodyConsumed` if the beginning is gone.
    func makeReader(replayLimit: Int) throws -> Reader {
        guard state.withLock({ $0.beginReading(replayLimit: replayLimit) }) else {
            throw ServiceError.oneShotBodyConsumed
        }
        return Reader(body: self)
    }

    /// One attempt's place in the body.
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
            // Asked under the lock: a cancellation either is seen here, or finds the waiter.
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
        let pull = Task {
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
