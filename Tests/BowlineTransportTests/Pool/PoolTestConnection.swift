import BowlineCore
import NIOCore

@testable import BowlineTransport

/// A connection of a pool without exchanges: only the requirements of the pool.
protocol PoolTestConnection: HTTPConnection {}

extension PoolTestConnection {
    var traits: ConnectionTraits { preconditionFailure("a pool does not ask for the traits") }
    var hasAnswered: Bool { true }

    func start(_ exchange: Exchange) { carriesNothing() }
    func returnUnused() { carriesNothing() }
    func cancelled(_ exchange: Exchange) { carriesNothing() }
    func abandoned(_ exchange: Exchange) { carriesNothing() }
    func resumeReading(_ exchange: Exchange) { carriesNothing() }
    func writeBody(_ chunk: ByteBuffer, for exchange: Exchange) async throws { carriesNothing() }
    func finishBody(_ last: ByteBuffer, for exchange: Exchange) { carriesNothing() }
    func finishBody(trailers: CheckedTrailers?, for exchange: Exchange) { carriesNothing() }
    func uploadFailed(
        _ exchange: Exchange, _ code: ServiceError.Code, _ message: String, _ underlying: (any Error)?
    ) { carriesNothing() }
    func poolReleased() { carriesNothing() }

    private func carriesNothing() {
        preconditionFailure("a pool starts no exchange")
    }
}

extension MonotonicInstant {
    /// The instant this long after a test's start.
    init(_ sinceStart: Duration) {
        self = MonotonicInstant(nanoseconds: 0).advanced(by: sinceStart)
    }

    var sinceStart: Duration {
        MonotonicInstant(nanoseconds: 0).duration(to: self)
    }
}
