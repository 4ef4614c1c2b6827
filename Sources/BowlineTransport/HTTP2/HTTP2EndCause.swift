internal import BowlineCore

/// The reasons why a connection takes no more requests, or has ended: the peer's GOAWAY, the channel's error, the rule
/// that the peer broke.
///
/// Makes the outcomes of the affected requests. Used on the connection's event loop only.
struct HTTP2EndCause {
    /// The peer's GOAWAY. The peer has not processed streams above its last id. nil: the peer has sent none.
    var goAway: HTTP2GoAway?
    /// The first error of the channel.
    private(set) var error: (any Error)?
    /// The rule of the connection that the peer has broken.
    private(set) var violation: HTTP2Violation?

    /// Records an error of the channel. The first error is kept.
    mutating func caught(_ error: any Error) {
        if self.error == nil { self.error = error }
    }

    /// Records that the peer has broken a rule of the connection.
    mutating func broken(_ violation: HTTP2Violation) {
        self.violation = violation
        error = violation
    }

    /// The peer's GOAWAY as the end of an error message. Empty: the peer has sent none.
    private var note: String {
        guard let goAway, goAway.isError else { return goAway == nil ? "" : " (GOAWAY)" }
        return " (GOAWAY, \(goAway.code.name))"
    }

    // MARK: Outcomes of requests

    /// Returns the outcome of a request that the connection does not take: it opens no more streams, or has no room.
    func declined(_ exchange: Exchange, hasCarriedOthers: Bool) -> TransportOutcome {
        exchange.outcome(
            .connectionClosed, "the connection takes no more requests" + note,
            connection: .declined(hasCarriedOthers: hasCarriedOthers))
    }

    /// Returns the outcome of a request that was not passed to the channel before the connection closed.
    func closedBeforeRequest(_ exchange: Exchange, _ reason: CloseReason?, hasCarriedOthers: Bool) -> TransportOutcome {
        if reason == .forced { return exchange.forciblyClosed(progress: .neverSent) }
        return exchange.outcome(
            .connectionClosed, "the connection closed before the request was written" + note, underlying: error,
            connection: .declined(hasCarriedOthers: hasCarriedOthers))
    }

    /// Returns the outcome of a stream above the last id of GOAWAY, which the peer has not processed. If bytes of its
    /// response have arrived, the peer has processed the stream nevertheless.
    func refused(_ stream: HTTP2Stream) -> TransportOutcome {
        let progress = stream.machine.progress == .responseStarted ? .responseStarted : RequestProgress.refused
        return stream.exchange.outcome(
            .connectionClosed, "the peer did not process the request" + note, progress: progress,
            connection: .goneAway(isUsedUp: goAway?.saysUsedUp ?? false))
    }

    /// Returns the outcome of a stream that the end of the connection has cut off.
    func cutOff(_ stream: HTTP2Stream, by reason: CloseReason) -> TransportOutcome {
        let progress = stream.machine.progress
        switch reason {
        case .forced, .poolReleased: return stream.exchange.forciblyClosed(progress: progress)
        case .protocolError:
            if let violation {
                return stream.exchange.outcome(
                    .protocolViolation, "the peer broke HTTP/2's rules: \(violation)", underlying: violation,
                    progress: progress)
            }
        default: break
        }
        let isUnanswered = reason == .keepAliveFailed
        let truncation = Truncation(
            isUnanswered ? .pingUnanswered : .connectionEnded(note: note),
            received: stream.machine.hasHead ? .head : .nothing)
        return stream.exchange.outcome(
            truncation.code, truncation.message, underlying: isUnanswered ? nil : error, progress: progress)
    }

    /// Returns why the connection never became ready.
    func whyNotReady(_ reason: CloseReason) -> any Error {
        if reason == .dialUnneeded || reason == .poolReleased { return DialFailure.cancelled }
        if let violation { return HTTP2DialError(violation: violation) }
        return error ?? DialFailure.noSettings
    }
}

extension HTTP2SectionTooLarge {
    /// Returns the error message for the caller. `what` names the section.
    func refusal(of what: String) -> String {
        "\(what) count \(size) bytes, more than the \(limit) that the peer accepts (SETTINGS_MAX_HEADER_LIST_SIZE)"
    }
}
