package import NIOCore

/// The output of ``HTTP2FrameParser``: a frame, a piece of a DATA frame, or a whole field section.
package enum HTTP2ReceivedFrame: Sendable, Equatable {
    /// A piece of a DATA frame: the whole frame if it arrived at once, else the part that has arrived.
    ///
    /// - `bytes`: a slice of the appended bytes, without padding. Empty if only padding arrived.
    /// - `windowBytes`: what the piece counts against the windows, including padding and the octet with the padding's
    ///   length (RFC 9113 §6.1). The pieces of a frame add up to the frame's length.
    /// - `endsFrame`: this is the frame's last piece.
    /// - `endsStream`: this is the last piece of a frame with END_STREAM.
    case data(stream: Int, bytes: ByteBuffer, windowBytes: Int, endsFrame: Bool, endsStream: Bool)
    /// A whole field section: HEADERS and the CONTINUATION frames after it, without padding and priority.
    ///
    /// `block` shares the received buffer if the section is one frame. Its reader index may be above 0.
    case headers(stream: Int, block: ByteBuffer, endsStream: Bool)
    /// PRIORITY. Its fields are ignored: they have no meaning any more (RFC 9113 §5.3.2).
    case priority(stream: Int)
    case reset(stream: Int, code: HTTP2ErrorCode)
    case settings([HTTP2SettingEntry])
    case settingsAcknowledgement
    /// PUSH_PROMISE and the CONTINUATION frames after it. The section is dropped, so the HPACK table differs from the
    /// peer's table afterwards. The session must refuse it as an error of the connection.
    case pushPromise(stream: Int)
    case ping(UInt64)
    case pong(UInt64)
    /// GOAWAY, yielded before its debug data has arrived; the debug data is skipped.
    case goAway(lastStream: Int, code: HTTP2ErrorCode)
    /// WINDOW_UPDATE with an increment of 1 to 2³¹ − 1; stream 0 is the connection.
    case windowUpdate(stream: Int, increment: Int)
    /// A frame of an unknown type, yielded before its payload is skipped (RFC 9113 §5.5). `length`: of the payload, in
    /// bytes.
    case unknown(type: UInt8, stream: Int, length: Int)
    /// A violation of a rule of one stream. Parsing continues after the frame.
    ///
    /// The parser does not know the states of streams. If the stream is idle, RST_STREAM must not be sent on it.
    /// `windowBytes`: the length of the whole DATA frame, which counts against the connection's window; 0 for other
    /// frames.
    indirect case violation(HTTP2Violation, windowBytes: Int)
}
