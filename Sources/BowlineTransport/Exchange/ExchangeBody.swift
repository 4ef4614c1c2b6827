internal import BowlineCore
internal import NIOCore

/// The caller's hold on a body that is still arriving: when the last copy goes, the body is given up.
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
