public import BowlineCore
public import NIOCore

/// The actions with which a scripted server answers one request: send bytes, wait, end the connection, in any order.
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

    /// Sends a whole response. The connection stays open for the next request, unless the response says otherwise.
    public static func reply(_ response: ScriptedResponse) -> ScriptedReply {
        ScriptedReply([.send(.response(response))])
    }

    /// Sends a whole response with a body of text.
    public static func reply(
        _ status: Int = 200,
        fields: HTTPFields = [:],
        body: String = "",
        framing: ScriptedResponse.Framing = .length,
        trailers: HTTPFields = [:]
    ) -> ScriptedReply {
        .reply(ScriptedResponse(status, fields: fields, body: body, framing: framing, trailers: trailers))
    }

    /// Sends a whole response with a body of bytes.
    public static func reply(
        _ status: Int = 200,
        fields: HTTPFields = [:],
        body: ByteBuffer,
        framing: ScriptedResponse.Framing = .length,
        trailers: HTTPFields = [:]
    ) -> ScriptedReply {
        .reply(ScriptedResponse(status, fields: fields, body: body, framing: framing, trailers: trailers))
    }

    /// Sends these bytes unchanged. Not over HTTP/2.
    public static func bytes(_ bytes: ByteBuffer) -> ScriptedReply {
        ScriptedReply([.send(.bytes(bytes))])
    }

    /// Sends this text unchanged: for garbage, and for responses that ``ScriptedResponse`` cannot express. Not over
    /// HTTP/2.
    public static func bytes(_ text: String) -> ScriptedReply {
        .bytes(ByteBuffer(string: text))
    }

    /// Sends a response in small pieces, with a pause before each piece except the first.
    ///
    /// - Parameters:
    ///   - response: The response to send.
    ///   - size: The number of bytes in a piece, 1 or more.
    ///   - interval: The pause, on the machine's clock.
    public static func trickle(
        _ response: ScriptedResponse, size: Int = 1, every interval: Duration
    ) -> ScriptedReply {
        ScriptedReply([.sendSlowly(.response(response), size: size, every: interval)])
    }

    /// Sends the first `count` bytes of a response, including its head, then closes the connection (FIN).
    ///
    /// Replies appended to it have no effect. To stop without closing, use ``part(_:of:)``. Over HTTP/2 the head counts
    /// as many bytes as it has in HTTP/1.1.
    public static func cut(after count: Int, of response: ScriptedResponse) -> ScriptedReply {
        .part(count, of: response).then(.close)
    }

    /// Sends the first `count` bytes of a response, including its head, then does what is appended, as in
    /// `.part(20, of: response).thenStall()`.
    ///
    /// Over HTTP/2 the head counts as many bytes as it has in HTTP/1.1.
    public static func part(_ count: Int, of response: ScriptedResponse) -> ScriptedReply {
        ScriptedReply([.sendPart(.response(response), count: count)])
    }

    /// Sends several replies to one request, such as a 103 before a 200.
    public static func sequence(_ replies: ScriptedReply...) -> ScriptedReply {
        ScriptedReply(replies.flatMap(\.steps))
    }

    /// Sends nothing until the client ends the connection or the server stops.
    public static let stall = ScriptedReply([.stall])
    /// Closes the connection (FIN) without an answer.
    public static let close = ScriptedReply([.close])
    /// Resets the connection (RST) without an answer.
    public static let reset = ScriptedReply([.reset])
    /// Resets the request's stream with RST_STREAM. Over HTTP/1.1, which has no streams, resets the connection.
    ///
    /// - Parameter code: The error code (RFC 9113 §7), such as 7 (REFUSED_STREAM). Default 8 (CANCEL).
    public static func resetStream(code: Int = 8) -> ScriptedReply {
        ScriptedReply([.resetStream(code)])
    }
    /// Sends nothing, and reads the next request.
    public static let nothing = ScriptedReply([])
}

extension ScriptedReply {
    /// Returns this reply followed by a close (FIN). The response does not announce the close, as with a server that
    /// closes idle connections.
    ///
    /// - Parameter pause: How long the connection is idle after this reply. Default zero.
    public func thenClose(after pause: Duration = .zero) -> ScriptedReply {
        then(pause, .close)
    }

    /// Returns this reply followed by the end of an encrypted connection without close_notify.
    public func thenCloseWithoutNotify() -> ScriptedReply {
        then(.zero, .closeWithoutNotify)
    }

    /// Returns this reply followed by a reset of the connection (RST).
    ///
    /// - Parameter pause: How long the connection is idle after this reply. Default zero.
    public func thenReset(after pause: Duration = .zero) -> ScriptedReply {
        then(pause, .reset)
    }

    /// Returns this reply followed by the end of the server's direction (FIN). The server still reads the client's
    /// direction. Not over HTTP/2.
    public func thenHalfClose() -> ScriptedReply {
        then(.zero, .halfClose)
    }

    /// Returns this reply followed by a stall: the server sends nothing more until the client ends the connection.
    public func thenStall() -> ScriptedReply {
        then(.zero, .stall)
    }

    /// Returns this reply followed by another reply.
    public func then(_ next: ScriptedReply) -> ScriptedReply {
        ScriptedReply(steps + next.steps)
    }

    /// Returns this reply after a pause on the machine's clock.
    public func delayed(by pause: Duration) -> ScriptedReply {
        ScriptedReply([.pause(pause)] + steps)
    }

    /// Returns this reply, delayed until `gate` is open.
    public func held(by gate: Gate) -> ScriptedReply {
        ScriptedReply([.wait(gate)] + steps)
    }

    /// Returns this reply followed by bytes that the client has not requested. Not over HTTP/2.
    ///
    /// - Parameters:
    ///   - bytes: The bytes to send.
    ///   - pause: The pause after the reply, on the machine's clock; zero: the bytes are in the same write as the
    ///     reply.
    public func followed(by bytes: ByteBuffer, after pause: Duration = .zero) -> ScriptedReply {
        then(pause, .send(.bytes(bytes)))
    }

    /// Returns this reply followed by text that the client has not requested. Not over HTTP/2.
    public func followed(by text: String, after pause: Duration = .zero) -> ScriptedReply {
        followed(by: ByteBuffer(string: text), after: pause)
    }

    private func then(_ pause: Duration, _ step: Step) -> ScriptedReply {
        ScriptedReply(steps + (pause > .zero ? [.pause(pause), step] : [step]))
    }
}
