public import BowlineCore
public import NIOCore

/// What a scripted server does in answer to one request: send something, wait, end the connection, in any order.
///
/// ```swift
/// server.respond { request in
///     request.number == 1 ? .reply(200, body: "hello").thenClose() : .stall
/// }
/// ```
public struct ScriptedReply: Sendable {
    enum Payload: Sendable {
        case response(ScriptedResponse)
        case bytes(ByteBuffer)
    }

    enum Step: Sendable {
        case send(Payload)
        case sendSlowly(Payload, size: Int, every: Duration)
        case sendPart(Payload, count: Int)
        case pause(Duration)
        case wait(Gate)
        case stall
        case close
        case closeWithoutNotify
        case halfClose
        case reset
        case resetStream(Int)
    }

    var steps: [Step]

    init(_ steps: [Step]) {
        self.steps = steps
    }

    /// A whole response. The connection stays open for the next request, unless the response says otherwise.
    public static func reply(_ response: ScriptedResponse) -> ScriptedReply {
        ScriptedReply([.send(.response(response))])
    }

    /// A whole response with a body of text.
    public static func reply(
        _ status: Int = 200,
        fields: HTTPFields = [:],
        body: String = "",
        framing: ScriptedResponse.Framing = .length,
        trailers: HTTPFields = [:]
    ) -> ScriptedReply {
        .reply(ScriptedResponse(status, fields: fields, body: body, framing: framing, trailers: trailers))
    }

    /// A whole response with a body of bytes.
    public static func reply(
        _ status: Int = 200,
        fields: HTTPFields = [:],
        body: ByteBuffer,
        framing: ScriptedResponse.Framing = .length,
        trailers: HTTPFields = [:]
    ) -> ScriptedReply {
        .reply(ScriptedResponse(status, fields: fields, body: body, framing: framing, trailers: trailers))
    }

    /// These bytes, whatever they are.
    public static func bytes(_ bytes: ByteBuffer) -> ScriptedReply {
        ScriptedReply([.send(.bytes(bytes))])
    }

    /// This text, whatever it is; for garbage, and for responses that no ``ScriptedResponse`` can be.
    public static func bytes(_ text: String) -> ScriptedReply {
        .bytes(ByteBuffer(string: text))
    }

    /// A response in small pieces, with a pause before each but the first.
    ///
    /// - Parameters:
    ///   - response: What to send.
    ///   - size: Bytes in a piece, 1 or more.
    ///   - interval: The pause, on the machine's clock.
    public static func trickle(
        _ response: ScriptedResponse, size: Int = 1, every interval: Duration
    ) -> ScriptedReply {
        ScriptedReply([.sendSlowly(.response(response), size: size, every: interval)])
    }

    /// The first `count` bytes of a response, head included, and then the end of the connection: what is appended is not
    /// done. To stop without closing, see ``part(_:of:)``. Over HTTP/2 the head counts as if it were HTTP/1.1's.
    public static func cut(after count: Int, of response: ScriptedResponse) -> ScriptedReply {
        .part(count, of: response).then(.close)
    }

    /// The first `count` bytes of a response, head included, and then what is appended, as `.part(20, of: response).thenStall()`.
    /// Over HTTP/2 the head counts as if it were HTTP/1.1's.
    public static func part(_ count: Int, of response: ScriptedResponse) -> ScriptedReply {
        ScriptedReply([.sendPart(.response(response), count: count)])
    }

    /// Several replies to one request, such as a 103 before a 200.
    public static func sequence(_ replies: ScriptedReply...) -> ScriptedReply {
        ScriptedReply(replies.flatMap(\.steps))
    }

    /// Never answers, until the client ends the connection or the server stops.
    public static let stall = ScriptedReply([.stall])
    /// Closes the connection (FIN) without an answer.
    public static let close = ScriptedReply([.close])
    /// Resets the connection (RST) without an answer.
    public static let reset = ScriptedReply([.reset])
    /// Ends the request's stream with RST_STREAM; over HTTP/1.1, which has no streams, resets the connection.
    ///
    /// - Parameter code: The error code (RFC 9113 §7), such as 7: REFUSED_STREAM. Default 8: CANCEL.
    public static func resetStream(code: Int = 8) -> ScriptedReply {
        ScriptedReply([.resetStream(code)])
    }
    /// Does nothing and reads the next request.
    public static let nothing = ScriptedReply([])
}

extension ScriptedReply {
    /// This reply, then the end of the connection (FIN), unannounced: what a server does that drops idle connections.
    ///
    /// - Parameter pause: How long the connection is idle before that. Default none.
    public func thenClose(after pause: Duration = .zero) -> ScriptedReply {
        then(pause, .close)
    }

    /// This reply, then the end of an encrypted connection without close_notify.
    public func thenCloseWithoutNotify() -> ScriptedReply {
        then(.zero, .closeWithoutNotify)
    }

    /// This reply, then a reset (RST).
    ///
    /// - Parameter pause: How long the connection is idle before that. Default none.
    public func thenReset(after pause: Duration = .zero) -> ScriptedReply {
        then(pause, .reset)
    }

    /// This reply, then the end of our direction (FIN), while the client's is still read.
    public func thenHalfClose() -> ScriptedReply {
        then(.zero, .halfClose)
    }

    /// This reply, then nothing more until the client ends the connection.
    public func thenStall() -> ScriptedReply {
        then(.zero, .stall)
    }

    /// This reply, then another.
    public func then(_ next: ScriptedReply) -> ScriptedReply {
        ScriptedReply(steps + next.steps)
    }

    /// A pause of the machine's clock, then this reply.
    public func delayed(by pause: Duration) -> ScriptedReply {
        ScriptedReply([.pause(pause)] + steps)
    }

    /// This reply once `gate` is open.
    public func held(by gate: Gate) -> ScriptedReply {
        ScriptedReply([.wait(gate)] + steps)
    }

    /// This reply, then bytes that nobody asked for.
    ///
    /// - Parameters:
    ///   - bytes: What to send.
    ///   - pause: How long after the reply, on the machine's clock; zero: in the same write, glued on.
    public func followed(by bytes: ByteBuffer, after pause: Duration = .zero) -> ScriptedReply {
        then(pause, .send(.bytes(bytes)))
    }

    /// This reply, then text that nobody asked for.
    public func followed(by text: String, after pause: Duration = .zero) -> ScriptedReply {
        followed(by: ByteBuffer(string: text), after: pause)
    }

    private func then(_ pause: Duration, _ step: Step) -> ScriptedReply {
        ScriptedReply(steps + (pause > .zero ? [.pause(pause), step] : [step]))
    }
}
