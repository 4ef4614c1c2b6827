internal import NIOCore

/// A body in memory: it arrived together with its head, or a stub or a middleware made it.
final class BufferedBodySource: ResponseBodySource {
    private struct State {
        var buffer: ByteBuffer?
        var isClaimed = false
    }

    private let state: Guarded<State>
    let trailers: ReceivedFields?
    let announcedLength: Int?
    let attempt: ResponseAttempt?

    init(_ buffer: ByteBuffer, trailers: ReceivedFields?, attempt: ResponseAttempt?) {
        state = Guarded(State(buffer: buffer.readableBytes == 0 ? nil : buffer))
        self.trailers = trailers
        announcedLength = buffer.readableBytes
        self.attempt = attempt
    }

    func beginReading() throws {
        try state.withLock { state in
            guard !state.isClaimed else { throw ServiceError.bodyAlreadyConsumed }
            state.isClaimed = true
        }
    }

    func takeReady() -> ReadyChunk {
        take().map { .chunk($0) } ?? .end
    }

    func waitForNext() async throws -> ByteBuffer? {
        take()
    }

    private func take() -> ByteBuffer? {
        state.withLock { $0.buffer.take() }
    }

    func abandon() {
        state.withLock { state in
            state.buffer = nil
            // A later read fails, like a read of a body that was abandoned while it arrived.
            state.isClaimed = true
        }
    }

    func observeEnd(_ observer: any ResponseBodyObserver) {
        observer.responseBodyEnded()
    }
}

/// A body that gets its chunks from a sequence, for stubs and middleware.
final class SequenceBodySource: ResponseBodySource {
    private struct State {
        var isClaimed = false
        var isReading = false
        var isOver = false
        /// Whether the body was abandoned before its end. Then reads fail: the bytes that were read are not the whole
        /// body.
        var isAbandoned = false
        var observer: (any ResponseBodyObserver)?
        /// The iterator of the sequence. Released at the end, so that the source of the chunks, for example another
        /// response, is released too.
        var reader: RequestBodySequence.Iterator?
    }

    private let state: Guarded<State>
    var trailers: ReceivedFields? { nil }
    var announcedLength: Int? { nil }
    var attempt: ResponseAttempt? { nil }

    init(_ sequence: RequestBodySequence) {
        state = Guarded(State(reader: sequence.makeIterator()))
    }

    deinit {
        end()
    }

    func beginReading() throws {
        try state.withLock { state in
            guard !state.isClaimed else { throw ServiceError.bodyAlreadyConsumed }
            state.isClaimed = true
        }
    }

    func waitForNext() async throws -> ByteBuffer? {
        let reader = try state.withLock { state in
            guard !state.isReading, !state.isAbandoned else { throw ServiceError.bodyAlreadyConsumed }
            state.isReading = state.reader != nil
            return state.reader
        }
        guard let reader else { return nil }
        let chunk: ByteBuffer?
        do {
            defer { state.withLock { $0.isReading = false } }
            chunk = try await reader.next()
        } catch {
            end()
            throw error
        }
        // Checked again: the body may have been abandoned during the wait.
        guard !state.withLock({ $0.isAbandoned }) else { throw ServiceError.bodyAlreadyConsumed }
        if let chunk { return chunk }
        end()
        // Some sequences, such as `AsyncStream`, end without an error when the reading task is cancelled.
        if Task.isCancelled { throw CancellationError() }
        return nil
    }

    func abandon() {
        state.withLock { state in
            guard !state.isOver else { return }
            state.isAbandoned = true
            state.isClaimed = true
        }
        end()
    }

    func observeEnd(_ observer: any ResponseBodyObserver) {
        let isOver = state.withLock { state in
            if !state.isOver { state.observer = ResponseBodyObservers.joining(state.observer, observer) }
            return state.isOver
        }
        if isOver { observer.responseBodyEnded() }
    }

    private func end() {
        let observer = state.withLock { state in
            state.isOver = true
            state.reader = nil
            let observer = state.observer
            state.observer = nil
            return observer
        }
        observer?.responseBodyEnded()
    }
}

extension ServiceError {
    package static var bodyAlreadyConsumed: ServiceError {
        ServiceError(
            .bodyAlreadyConsumed, "the response body was read before; it can be read once",
            progress: .responseStarted, phase: .receivingBody
        )
    }
}
