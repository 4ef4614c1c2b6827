import BowlineCore

@testable import BowlineTransport

extension TransportOutcome {
    /// An outcome without a particular exchange.
    init(
        _ code: ServiceError.Code = .connectionClosed, _ message: String = "failed",
        progress: RequestProgress = .neverSent, connection: Connection = .ordinary
    ) {
        self.init(
            code: code, message: message, underlying: nil, progress: progress, connection: connection, phase: .sending,
            facts: ConnectionFacts(
                id: 1, isReused: false, requests: 1, peer: "peer", protocolVersion: .http1_1, stream: nil),
            elapsed: .zero)
    }
}
