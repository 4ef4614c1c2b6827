internal import BowlineCore

/// How an exchange failed, for use inside the transport.
///
/// Connections make outcomes. ``ResendPolicy`` and ``SiblingSuspicion`` base their decisions on them. A caller never
/// sees an outcome: ``ServiceError/init(_:of:)`` converts it to the caller's error.
struct TransportOutcome: Error {
    /// The transport's knowledge about the connection, in addition to the code and the progress.
    enum Connection: Equatable {
        /// Nothing more.
        case ordinary
        /// The connection took no more requests when this request reached it, so nothing of the request was written.
        ///
        /// - hasCarriedOthers: Whether the connection has carried other requests. If so, the next connection will
        ///   probably take this request.
        case declined(hasCarriedOthers: Bool)
        /// The peer announced the end of the connection, and has not processed this request (RFC 9113 §6.8).
        ///
        /// - isUsedUp: Whether the connection has carried other requests and ends without an error. Such an end says
        ///   nothing about the next connection.
        case goneAway(isUsedUp: Bool)
    }

    let code: ServiceError.Code
    let message: String
    let underlying: (any Error)?
    let progress: RequestProgress
    let connection: Connection
    /// The phase in which the request was.
    let phase: RequestPhase
    /// The connection as errors describe it.
    let facts: ConnectionFacts
    /// How long the attempt had taken.
    let elapsed: Duration

    /// Whether the bytes of the body that have arrived are valid, and only the rest is missing.
    var leavesReceivedBytes: Bool {
        switch code {
        case .incompleteBody, .connectionClosed, .streamReset: true
        default: false
        }
    }

    var isDeclined: Bool {
        if case .declined = connection { true } else { false }
    }
}

extension ServiceError {
    /// Makes the error that the caller of the exchange's request gets.
    init(_ outcome: TransportOutcome, of exchange: Exchange) {
        self.init(
            outcome.code, outcome.message, underlying: outcome.underlying, progress: outcome.progress,
            attempts: exchange.attempt, origin: exchange.request.origin.description, phase: outcome.phase
        )
        connectionWasReused = exchange.lease.isReused
        connection = outcome.facts
        resends = exchange.resends
        elapsed = outcome.elapsed
    }
}
