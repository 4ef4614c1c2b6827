internal import BowlineCore

/// The error for a response that the end of a connection or a stream has cut off.
///
/// | cause | nothing received | part of the head | the head |
/// |---|---|---|---|
/// | connectionEnded | `connectionClosed` | `connectionClosed` | `incompleteBody` |
/// | handshakeRefused | `tlsHandshakeFailed` | as connectionEnded | as connectionEnded |
/// | pingUnanswered | `connectionClosed` | `connectionClosed` | `connectionClosed` |
/// | streamReset | `streamReset` | `streamReset` | `incompleteBody` |
struct Truncation: Equatable {
    /// How much of the response had arrived.
    enum Received {
        case nothing
        case partOfHead
        case head
    }

    enum Cause {
        /// - Parameter note: A text about what the peer announced before the end; added to the message.
        case connectionEnded(note: String)
        /// The peer has refused our certificate, or the lack of one, after the handshake (TLS 1.3).
        case handshakeRefused(String)
        case pingUnanswered
        /// - Parameter code: The name of the error code in RST_STREAM.
        case streamReset(code: String)
    }

    let code: ServiceError.Code
    let message: String

    init(_ cause: Cause, received: Received) {
        self =
            switch (cause, received) {
            case (.handshakeRefused(let what), .nothing): Self(.tlsHandshakeFailed, what)
            case (.handshakeRefused, _): Self(.connectionEnded(note: ""), received: received)
            case (.connectionEnded(let note), .nothing):
                Self(.connectionClosed, "the connection ended without a response" + note)
            case (.connectionEnded(let note), .partOfHead):
                Self(.connectionClosed, "the connection ended within the response head" + note)
            case (.connectionEnded(let note), .head):
                Self(.incompleteBody, "the connection ended before the response body was complete" + note)
            case (.pingUnanswered, _):
                Self(.connectionClosed, "the peer answered no PING within http2.keepAliveTimeout")
            case (.streamReset(let name), .head):
                Self(.incompleteBody, "the peer reset the stream within the response body (\(name))")
            case (.streamReset(let name), _): Self(.streamReset, "the peer reset the stream (\(name))")
            }
    }

    private init(_ code: ServiceError.Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
