internal import BowlineCore

/// A response body that is decoded while it is read. A body that is not read is never decoded.
///
/// It reads a chunk of the received body only when the previous chunk is decoded and read, so a slow reader slows the
/// peer down, in the same way as without decoding. The call ends when the received body ends: ``observeEnd(_:)``
/// observes the received body.
final class DecodedBodySource: ResponseBodySource {
    private enum State {
        /// Not read yet, so there is no decoder.
        case unread
        case decoding(BodyDecompressor)
        case ended
        case failed(any Error)
    }

    private enum Step: Sendable {
        case chunk(ByteBuffer)
        case needsInput
        case ended
        case failed(any Error)
        /// Decoding has failed in this step; `failed` follows.
        case broke(DecodingFailure)
    }

    private let raw: any ResponseBodySource
    private let codings: [ContentCoding]
    private let options: DecompressionOptions
    private let response: Circumstances
    private let state = Guarded(State.unread)

    /// The facts of the response, for errors of the body.
    struct Circumstances: Sendable {
        let facts: ResponseFacts
        let url: ServiceURL?
    }

    init(
        _ raw: any ResponseBodySource, codings: [ContentCoding], options: DecompressionOptions, response: Circumstances
    ) {
        self.raw = raw
        self.codings = codings
        self.options = options
        self.response = response
    }

    var announcedLength: Int? { nil }

    var attempt: ResponseAttempt? { raw.attempt }

    var trailers: ReceivedFields? {
        let isOver = state.withLock { if case .ended = $0 { true } else { false } }
        return isOver ? raw.trailers : nil
    }

    func beginReading() throws {
        try raw.beginReading()
    }

    func waitForNext() async throws -> ByteBuffer? {
        while true {
            // One chunk may yield much output, so cancellation is checked before each step.
            if Task.isCancelled { throw giveUp(CancellationError()) }
            switch step() {
            case .chunk(let chunk): return chunk
            case .ended: return nil
            case .failed(let error): throw error
            case .broke(let failure):
                // The rest of the body is of no use, and may be long.
                raw.abandon()
                throw error(failure)
            case .needsInput:
                do {
                    received(try await raw.next())
                } catch {
                    fail(error)
                    throw error
                }
            }
        }
    }

    func abandon() {
        fail(ServiceError.bodyAlreadyConsumed)
        raw.abandon()
    }

    func observeEnd(_ observer: any ResponseBodyObserver) {
        raw.observeEnd(observer)
    }

    private func giveUp(_ error: any Error) -> any Error {
        fail(error)
        raw.abandon()
        return error
    }

    private func step() -> Step {
        state.withLock { state in
            switch state {
            case .unread: return .needsInput
            case .ended: return .ended
            case .failed(let error): return .failed(error)
            case .decoding(let decoder):
                do throws(DecodingFailure) {
                    switch try decoder.step() {
                    case .output(let chunk): return .chunk(chunk)
                    case .needsInput: return .needsInput
                    case .over:
                        state = .ended
                        return .ended
                    }
                } catch {
                    state = .failed(self.error(error))
                    return .broke(error)
                }
            }
        }
    }

    private func received(_ chunk: ByteBuffer?) {
        state.withLock { state in
            var decoder: BodyDecompressor
            switch state {
            case .unread: decoder = BodyDecompressor(codings, options: options)
            case .decoding(let current): decoder = current
            case .ended, .failed: return
            }
            if let chunk { decoder.received(chunk) } else { decoder.inputEnded() }
            state = .decoding(decoder)
        }
    }

    private func fail(_ error: any Error) {
        state.withLock { state in
            switch state {
            case .unread, .decoding: state = .failed(error)
            case .ended, .failed: break
            }
        }
    }

    private func error(_ failure: DecodingFailure) -> ServiceError {
        var error = ServiceError(
            failure.code, failure.message, progress: .responseStarted, attempts: response.facts.attempts,
            origin: (response.facts.redirects.last ?? response.url)?.origin.description, phase: .receivingBody
        )
        error.requestsSent = response.facts.requestsSent
        error.connectionWasReused = response.facts.connection?.isReused
        return error
    }
}
