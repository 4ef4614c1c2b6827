/// How the service handles one request.
enum LedgerAct: Sendable, Hashable {
    /// Executes the request and answers, with the body's length in the head.
    case answer
    /// Like `answer`, with the body in chunks of this many bytes; over HTTP/2 without the length.
    case answerInChunks(of: Int)
    /// Like `answer`, but the end of the connection ends the body. HTTP/1.1.
    case answerUntilClose
    /// Like `answer`, with `Connection: close`. HTTP/1.1.
    case answerSayingClose
    /// Like `answer`; then closes the connection after this many milliseconds, without announcing it.
    case answerThenClose(milliseconds: Int)
    /// Like `answer`; then resets the connection.
    case answerThenReset
    /// Like `answer`, in pieces of this many bytes, with a pause of one millisecond between two pieces.
    case answerSlowly(pieces: Int)
    /// Like `answer`, with additional fields of this many bytes in all.
    case answerWithLargeFields(bytes: Int)
    /// Like `answer`, after an informational response.
    case answerAfterHint
    /// Like `answer`, this many milliseconds later.
    case answerLate(milliseconds: Int)
    /// Executes the request, sends this many thousandths of the answer, and closes the connection.
    case cut(thousandths: Int)
    /// Executes the request and closes the connection.
    case actThenClose
    /// Executes the request and resets the connection.
    case actThenReset
    /// Executes the request and resets the stream with this code; over HTTP/1.1, resets the connection.
    case actThenResetStream(code: Int)
    /// Executes the request and never answers.
    case actThenStall
    /// Does not execute the request: answers 503 with `Retry-After`.
    case unavailable(retryAfter: Int)
    /// Does not execute the request: resets the stream with REFUSED_STREAM; over HTTP/1.1, answers 503.
    case refuse
    /// Does not execute the request: answers 413 before it reads the body. Then reads the body, or closes the
    /// connection.
    case rejectEarly(closes: Bool)
    /// Does not execute the request: resets the stream with REFUSED_STREAM before it reads the body. HTTP/2.
    case refuseEarly

    /// Whether the service answers before it reads the body.
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
