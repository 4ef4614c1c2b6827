internal import BowlineCore
internal import NIOCore

/// The source of a body that is still arriving. When its last reference is released, it abandons the body.
final class ExchangeBody: ResponseBodySource {
    private let exchange: Exchange
    let announcedLength: Int?

    init(_ exchange: Exchange, announcedLength: Int?) {
        self.exchange = exchange
        self.announcedLength = announcedLength
    }

    deinit {
        exchange.abandon()
    }

    var trailers: ReceivedFields? { exchange.trailers }

    var attempt: ResponseAttempt? { exchange.responseAttempt }

    func beginReading() throws { try exchange.beginReading() }
    func takeReady() throws -> ReadyChunk { try exchange.takeReady() }
    func waitForNext() async throws -> ByteBuffer? { try await exchange.waitForNext() }
    func abandon() { exchange.abandon() }
    func observeEnd(_ observer: any ResponseBodyObserver) { exchange.observeEnd(observer) }
}
