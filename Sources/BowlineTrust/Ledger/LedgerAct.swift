/// What the service does with one request.
enum LedgerAct: Sendable, Hashable {
    /// Executes it and answers, with the body's length in the head.
    case answer
    /// … in chunks of so many bytes; over HTTP/2 without the length.
    case answerInChunks(of: Int)
    /// … and the end of the connection is the end of the body. HTTP/1.1.
    case answerUntilClose
    /// … and says `Connection: close`. HTTP/1.1.
    case answerSayingClose
    /// … and closes the connection so many milliseconds later, unannounced.
    case answerThenClose(milliseconds: Int)
    /// … and resets the connection.
    case answerThenReset
    /// … in pieces of so many bytes, with a pause of one millisecond between two.
    case answerSlowly(pieces: Int)
    /// … with fields of so many bytes in all.
    case answerWithLargeFields(bytes: Int)
    /// … after an informational response.
    case answerAfterHint
    /// … so many milliseconds later.
    case answerLate(milliseconds: Int)
    /// Executes it and closes the connection after so many thousandths of the answer.
    case cut(thousandths: Int)
    /// Executes it and closes the connection.
    case actThenClose
    /// Executes it and resets the connection.
    case actThenReset
    /// Executes it and resets the stream with this code; over HTTP/1.1 the connection.
    case actThenResetStream(code: Int)
    /// Executes it and never answers.
    case actThenStall
    /// Does not execute it: 503 with `Retry-After`.
    case unavailable(retryAfter: Int)
    /// Does not execute it: REFUSED_STREAM; over HTTP/1.1 503.
    case refuse
    /// Does not execute it: 413 before the body was read, and then reads it, or closes the connection.
    case rejectEarly(closes: Bool)
    /// Does not execute it: REFUSED_STREAM before the body was read. HTTP/2.
    case refuseEarly

    /// Whether the service answers before it has read the body.
    var isEarly: Bool {
        switch self {
        case .rejectEarly, .refuseEarly: true
        default: false
        }
    }

    /// Whether the service executes the request.
    var executes: Bool {
        switch self {
        case .unavailable, .refuse, .rejectEarly, .refuseEarly: false
        default: true
        }
    }
}
