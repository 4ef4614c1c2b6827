internal import BowlineCore
internal import NIOCore

/// The body of a stub's response that is not in memory yet. Applies the limits of its request.
final class StubBodySource: ResponseBodySource {
    private struct State: Sendable {
        /// The error that the body failed with.
        var failure: ServiceError?
        /// Whether this source has abandoned the base.
        var isGivenUp = false
    }

    private let base: any ResponseBodySource
    private let exchange: StubExchange
    private let state = Guarded(State())

    init(_ base: any ResponseBodySource, _ exchange: StubExchange) {
        self.base = base
        self.exchange = exchange
    }

    var announcedLength: Int? { base.announcedLength }
    var trailers: ReceivedFields? { base.trailers }
    var attempt: ResponseAttempt? { base.attempt }
    func beginReading() throws { try base.beginReading() }
    func observeEnd(_ observer: any ResponseBodyObserver) { base.observeEnd(observer) }

    func abandon() {
        guard !state.withLock({ $0.isGivenUp }) else { return }
        base.abandon()
    }

    func takeReady() throws -> ReadyChunk {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        if let deadline = exchange.deadlineLimit(hasHead: true), exchange.hasPassed(deadline) {
            let stage = StubExchange.Stage.receivingBody
            throw fail(exchange.failure(deadline, phase: stage.phase, progress: stage.progress))
        }
        return try base.takeReady()
    }

    func waitForNext() async throws -> ByteBuffer? {
        guard let limit = exchange.chunkLimit() else { return try await base.next() }
        do {
            return try await exchange.run(until: limit, .receivingBody) { [base] in try await base.next() }
        } catch {
            if Task.isCancelled {
                giveUp()
            } else if exchange.hasPassed(limit), let error = error as? ServiceError, error.code == limit.code {
                throw fail(error)
            }
            throw error
        }
    }

    private func fail(_ error: ServiceError) -> ServiceError {
        state.withLock { $0.failure = error }
        giveUp()
        return error
    }

    private func giveUp() {
        let isFirst = state.withLock { state in
            defer { state.isGivenUp = true }
            return !state.isGivenUp
        }
        if isFirst { base.abandon() }
    }
}
