internal import BowlineCore
internal import NIOCore

/// Pulls a request body and gives it to the connection chunk by chunk. It pulls the next chunk when the connection has
/// taken the previous one.
///
/// Runs in a task that the caller's task creates, so that the body's sequence sees the caller's task-local values. The
/// task waits at a gate. The connection opens the gate when it has written the head. If the request expects a 100
/// response, the connection also waits for that response before it opens the gate, for a limited time.
final class RequestUpload: Sendable {
    private enum Gate {
        case shut
        case waiting(CheckedContinuation<Bool, Never>)
        case open
        case stopped
    }

    private struct State {
        var gate = Gate.shut
        var task: Task<Void, Never>?
    }

    let body: RequestBody
    let declaredLength: Int?
    /// Whether the body is sent in chunks: its length is unknown, or declared to be zero.
    ///
    /// A head with `Content-Length: 0` is already a complete request. So it must not be sent before the sequence has
    /// shown that it is empty and does not throw.
    var isChunked: Bool { Self.isChunked(declaredLength: declaredLength) }
    private let replayLimit: Int
    private let state = Guarded(State())

    init(body: RequestBody, declaredLength: Int?, replayLimit: Int) {
        self.body = body
        self.declaredLength = declaredLength
        self.replayLimit = replayLimit
    }

    static func isChunked(declaredLength: Int?) -> Bool { declaredLength == nil || declaredLength == 0 }

    /// Starts the task that waits at the gate. The caller's task calls this once.
    func start(_ exchange: Exchange) {
        let task = Task.inheriting { await self.run(exchange) }
        let isStopped = state.withLock { state -> Bool in
            state.task = task
            if case .stopped = state.gate { return true }
            return false
        }
        if isStopped { task.cancel() }
    }

    /// Opens the gate: the connection is ready for the body.
    func open() {
        let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            switch state.gate {
            case .shut: state.gate = .open
            case .waiting(let waiter):
                state.gate = .open
                return waiter
            case .open, .stopped: break
            }
            return nil
        }
        waiter?.resume(returning: true)
    }

    /// Stops the upload: the body is not wanted. Cancels the sequence's pending read.
    func stop() {
        let (waiter, task) = state.withLock { state -> (CheckedContinuation<Bool, Never>?, Task<Void, Never>?) in
            var waiting: CheckedContinuation<Bool, Never>?
            if case .waiting(let waiter) = state.gate { waiting = waiter }
            state.gate = .stopped
            return (waiting, state.task)
        }
        waiter?.resume(returning: false)
        task?.cancel()
    }

    private func waitAtGate() async -> Bool {
        await withCheckedContinuation { waiter in
            let answer = state.withLock { state -> Bool? in
                switch state.gate {
                case .shut:
                    state.gate = .waiting(waiter)
                    return nil
                case .open: return true
                case .stopped, .waiting: return false
                }
            }
            if let answer { waiter.resume(returning: answer) }
        }
    }

    private func run(_ exchange: Exchange) async {
        guard await waitAtGate() else { return }
        do {
            try await send(exchange)
        } catch is UploadStopped {
            return
        } catch let failure as RequestBodyFailure {
            exchange.connection.uploadFailed(exchange, failure.error.code, failure.error.message, nil)
        } catch {
            // Every error of a sequence is the body's failure, even a `ServiceError` of another request or a
            // `CancellationError`. If we cancelled the sequence by stopping the upload, the connection ignores the
            // failure.
            exchange.connection.uploadFailed(
                exchange, .requestBodyFailed, "the request body's sequence threw \(type(of: error))", error
            )
        }
    }

    private func send(_ exchange: Exchange) async throws {
        var reader = try await makeReader()
        var sent = 0
        while let chunk = try await reader.next() {
            sent += chunk.readableBytes
            if let declaredLength, sent >= declaredLength {
                // The last bytes wait until the sequence has ended: a body that is longer than its declared length must
                // never look complete to the peer.
                guard sent == declaredLength, try await reader.next() == nil else {
                    throw lengthMismatch("longer than its declared length of \(declaredLength) bytes")
                }
                // One call writes the bytes and ends the body: the peer may answer as soon as it has these bytes.
                exchange.connection.finishBody(chunk, for: exchange)
                return
            }
            try await exchange.connection.writeBody(chunk, for: exchange)
        }
        if let declaredLength, sent < declaredLength {
            throw lengthMismatch("shorter than its declared length of \(declaredLength) bytes: it ended after \(sent)")
        }
        exchange.connection.finishBody(trailers: try await makeTrailers(), for: exchange)
    }

    private func makeTrailers() async throws -> CheckedTrailers? {
        guard let fields = try await body.makeTrailers?() else { return nil }
        do {
            return try CheckedTrailers(fields)
        } catch {
            throw RequestBodyFailure(ServiceError(.invalidRequest, "trailer: \(error)"))
        }
    }

    /// Makes the reader of the body. Throws a `RequestBodyFailure` if the body is a one-shot stream that was sent
    /// before. An error that the user's factory throws is passed on unchanged.
    private func makeReader() async throws -> RequestBodyReader {
        do {
            return try await body.makeReader(replayLimit: replayLimit)
        } catch let error as ServiceError where error.code == .requestBodyConsumed && !body.isReplayable {
            throw RequestBodyFailure(error)
        }
    }

    private func lengthMismatch(_ what: String) -> RequestBodyFailure {
        RequestBodyFailure(ServiceError(.requestBodyLengthMismatch, "the request body is \(what)"))
    }
}

/// Thrown when the connection takes no more of a body: the upload was stopped, or the exchange is over.
struct UploadStopped: Error {}
