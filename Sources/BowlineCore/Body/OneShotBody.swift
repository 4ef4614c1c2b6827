internal import NIOCore

/// The road of a stream that can be read once: pulls its sequence on demand, and keeps the beginning for replay.
///
/// Chunks are pulled by a task of the body's own, not by the attempt that sends it: an attempt that ends while a pull
/// is under way takes nothing with it, and the next one receives that chunk.
package final class OneShotBody: Sendable {
    fileprivate struct State {
        var saved: [ByteBuffer] = []
        var savedBytes = 0
        var limit = 65_536
        /// How many chunks were pulled before the first that is still in `saved`.
        var forgotten = 0
        var isCommitted = false
        var hasReader = false
        var hasBegun = false
        var outcome: Outcome?
        var isPulling = false
        var pull: Task<Void, Never>?
        var waiter: Waiter?
        var nextWaiterID = 0
    }

    fileprivate enum Outcome {
        case ended
        case failed(any Error)
    }

    fileprivate struct Waiter {
        let id: Int
        let index: Int
        let continuation: CheckedContinuation<ByteBuffer?, any Error>
    }

    private let state = Guarded(State())
    private let source: RequestBodySequence.Iterator

    init(_ sequence: RequestBodySequence) {
        source = sequence.makeIterator()
    }

    /// Whether a reader could still start from the first byte.
    var isReplayable: Bool {
        state.withLock { !$0.isCommitted && $0.forgotten == 0 }
    }

    /// Gives up replay: from now on chunks are forgotten as soon as they are read.
    package func commit() {
        state.withLock { state in
            state.isCommitted = true
        }
    }

    /// Ends the stream: nobody will read on. The sequence's pending `next()` is cancelled.
    package func abandon() {
        let (pull, waiter) = state.withLock { state in
            state.isCommitted = true
            state.outcome = state.outcome ?? .failed(CancellationError())
            state.saved = []
            let waiter = state.waiter
            state.waiter = nil
            return (state.pull, waiter)
        }
        pull?.cancel()
        waiter?.continuation.resume(throwing: CancellationError())
    }

    /// Starts reading from the first byte.
    ///
    /// - Throws: ``ServiceError`` `requestBodyConsumed` if the beginning is gone.
    func makeReader(replayLimit: Int) throws -> Reader {
        try state.withLock { state in
            // A response may have begun, and replay been given up, before the first reader is there.
            let isFirst = !state.hasReader && state.outcome == nil
            guard isFirst || (!state.isCommitted && state.forgotten == 0) else {
                throw Self.consumed
            }
            state.hasReader = true
            state.limit = replayLimit
        }
        return Reader(body: self)
    }

    private static var consumed: ServiceError {
        ServiceError(.requestBodyConsumed, "the request body is a one-shot stream that was sent before")
    }

    /// One attempt's place in the body.
    struct Reader {
        let body: OneShotBody
        private var index = 0

        init(body: OneShotBody) {
            self.body = body
        }

        mutating func next() async throws -> ByteBuffer? {
            let chunk = try await body.chunk(at: index)
            if chunk != nil { index += 1 }
            return chunk
        }
    }

    private enum Step {
        case chunk(ByteBuffer?)
        case failed(any Error)
        case wait
    }

    private func chunk(at index: Int) async throws -> ByteBuffer? {
        switch step(at: index) {
        case .chunk(let chunk): return chunk
        case .failed(let error): throw error
        case .wait: break
        }
        let id = state.withLock { state in
            state.nextWaiterID += 1
            return state.nextWaiterID
        }
        defer { state.synchronize() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                wait(Waiter(id: id, index: index, continuation: continuation))
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard state.waiter?.id == id else { return nil }
                let waiter = state.waiter
                state.waiter = nil
                return waiter
            }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }

    private func step(at index: Int) -> Step {
        state.withLock { state in Self.step(&state, at: index) }
    }

    private static func step(_ state: inout State, at index: Int) -> Step {
        let position = index - state.forgotten
        guard position >= 0 else {
            return .failed(consumed)
        }
        if position < state.saved.count {
            let chunk = state.saved[position]
            state.forgetIfCommitted(through: position)
            return .chunk(chunk)
        }
        switch state.outcome {
        case .ended: return .chunk(nil)
        case .failed(let error): return .failed(error)
        case nil: return .wait
        }
    }

    private func wait(_ waiter: Waiter) {
        enum Action {
            case resume(Step)
            case pull
            case nothing
        }
        let isCancelled = Task.isCancelled
        let action = state.withLock { state -> Action in
            let step = Self.step(&state, at: waiter.index)
            guard case .wait = step else { return .resume(step) }
            if isCancelled { return .resume(.failed(CancellationError())) }
            // One attempt reads at a time: a waiter that is still here belongs to an attempt that has ended.
            let superseded = state.waiter
            state.waiter = waiter
            superseded?.continuation.resume(throwing: CancellationError())
            guard !state.isPulling else { return .nothing }
            state.isPulling = true
            state.hasBegun = true
            return .pull
        }
        switch action {
        case .resume(.chunk(let chunk)): waiter.continuation.resume(returning: chunk)
        case .resume(.failed(let error)): waiter.continuation.resume(throwing: error)
        case .resume(.wait), .nothing: break
        case .pull: startPull()
        }
    }

    private func startPull() {
        let pull = Task {
            do {
                var chunk = try await source.next()
                while let empty = chunk, empty.readableBytes == 0 { chunk = try await source.next() }
                pulled(chunk)
            } catch {
                failed(error)
            }
        }
        let isAbandoned = state.withLock { state -> Bool in
            state.pull = pull
            if case .failed = state.outcome { return true }
            return false
        }
        if isAbandoned { pull.cancel() }
    }

    private func pulled(_ chunk: ByteBuffer?) {
        let delivery = state.withLock { state -> (Waiter, Step)? in
            state.isPulling = false
            if let chunk {
                state.save(chunk)
            } else {
                state.outcome = state.outcome ?? .ended
            }
            return Self.takeDelivery(&state)
        }
        deliver(delivery)
    }

    private func failed(_ error: any Error) {
        let delivery = state.withLock { state -> (Waiter, Step)? in
            state.isPulling = false
            state.outcome = state.outcome ?? .failed(error)
            return Self.takeDelivery(&state)
        }
        deliver(delivery)
    }

    private static func takeDelivery(_ state: inout State) -> (Waiter, Step)? {
        guard let waiter = state.waiter else { return nil }
        state.waiter = nil
        return (waiter, step(&state, at: waiter.index))
    }

    private func deliver(_ delivery: (Waiter, Step)?) {
        guard let (waiter, step) = delivery else { return }
        switch step {
        case .chunk(let chunk): waiter.continuation.resume(returning: chunk)
        case .failed(let error): waiter.continuation.resume(throwing: error)
        case .wait: waiter.continuation.resume(throwing: CancellationError())
        }
    }
}

extension OneShotBody.State {
    mutating func save(_ chunk: ByteBuffer) {
        saved.append(chunk)
        savedBytes += chunk.readableBytes
        if savedBytes > limit { isCommitted = true }
    }

    mutating func forgetIfCommitted(through position: Int) {
        guard isCommitted else { return }
        for chunk in saved[...position] { savedBytes -= chunk.readableBytes }
        saved.removeFirst(position + 1)
        forgotten += position + 1
    }
}
