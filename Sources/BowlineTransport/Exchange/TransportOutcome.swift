internal import BowlineCore

/// How an exchange failed, as the transport knows it.
///
/// Connections make it, and ``ResendPolicy`` and ``SiblingSuspicion`` decide by it. A caller never sees it: at the edge
/// ``ServiceError/init(_:of:)`` makes the error of it.
struct TransportOutcome: Error {
    /// What the transport knows of the connection beyond the code and the progress.
    enum Connection: Equatable {
        /// Nothing more.
        case ordinary
        /// It took no more requests when this one came to it: nothing of the request was written.
        ///
        /// - hasCarriedOthers: Whether it has carried requests. If so, the next connection may well take this one.
        case declined(hasCarriedOthers: Bool)
        /// The peer announced its end, and has not processed this request (RFC 9113 §6.8).
        ///
        /// - isUsedUp: Whether it has taken other requests and ends in good order, which says nothing about the next
        ///   connection.
        case goneAway(isUsedUp: Bool)
    }

    let code: ServiceError.Code
    let message: String
    let underlying: (any Error)?
    let progress: RequestProgress
    let connection: Connection
    /// What the request was doing.
    let phase: RequestPhase
    /// The connection as errors describe it.
    let facts: ConnectionFacts
    /// How long the attempt had taken.
    let elapsed: Duration

    /// Whether what has arrived of the body is good, and only its rest will not come.
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
    /// The error that the caller of the exchange's request gets.
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
