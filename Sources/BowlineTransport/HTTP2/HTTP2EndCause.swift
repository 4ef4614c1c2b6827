internal import BowlineCore

/// What is known of why a connection takes no more requests, or has ended: what the peer said, and what went wrong.
///
/// It makes the outcomes of the requests that the end of the connection concerns. They are made on the connection's event loop.
struct HTTP2EndCause {
    /// The peer's GOAWAY, if it has sent one: streams above its last id were not looked at.
    var goAway: HTTP2GoAway?
    /// The first error of the channel.
    private(set) var error: (any Error)?
    /// The rule of the connection that the peer has broken.
    private(set) var violation: HTTP2Violation?

    /// The channel has reported an error.
    mutating func caught(_ error: any Error) {
        if self.error == nil { self.error = error }
    }

    /// The peer has broken a rule of the connection.
    mutating func broken(_ violation: HTTP2Violation) {
        self.violation = violation
        error = violation
    }

    /// What the peer said of the end of the connection, for a message.
    private var note: String {
        guard let goAway, goAway.isError else { return goAway == nil ? "" : " (GOAWAY)" }
        return " (GOAWAY, \(goAway.code.name))"
    }

    // MARK: What requests are told

    /// The connection opens no more streams, or has no room for this one.
    func declined(_ exchange: Exchange, hasCarriedOthers: Bool) -> TransportOutcome {
        exchange.outcome(
            .connectionClosed, "the connection takes no more requests" + note,
            connection: .declined(hasCarriedOthers: hasCarriedOthers))
    }

    /// The connection closed before the channel was given the request.
    func closedBeforeRequest(_ exchange: Exchange, _ reason: CloseReason?, hasCarriedOthers: Bool) -> TransportOutcome {
        if reason == .forced { return exchange.forciblyClosed(progress: .neverSent) }
        return exchange.outcome(
            .connectionClosed, "the connection closed before the request was written" + note, underlying: error,
            connection: .declined(hasCarriedOthers: hasCarriedOthers))
    }

    /// GOAWAY says that the peer has not looked at the stream. Bytes of a response show that it has.
    func refused(_ stream: HTTP2Stream) -> TransportOutcome {
        let progress = stream.machine.progress == .responseStarted ? .responseStarted : RequestProgress.refused
        return stream.exchange.outcome(
            .connectionClosed, "the peer did not process the request" + note, progress: progress,
            connection: .goneAway(isUsedUp: goAway?.saysUsedUp ?? false))
    }

    /// The end of the connection has cut the stream off.
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

    /// Why the connection never got ready.
    func whyNotReady(_ reason: CloseReason) -> any Error {
        if reason == .dialUnneeded || reason == .poolReleased { return DialFailure.cancelled }
        if let violation { return HTTP2DialError(violation: violation) }
        return error ?? DialFailure.noSettings
    }
}

extension HTTP2SectionTooLarge {
    /// What the caller is told whose request has the section.
    func refusal(of what: String) -> String {
        "\(what) count \(size) bytes, more than the \(limit) that the peer accepts (SETTINGS_MAX_HEADER_LIST_SIZE)"
    }
}
