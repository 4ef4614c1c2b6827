internal import NIOCore

/// The server's side of one HTTP/2 connection, frame by frame, for scripts of a faulty server.
///
/// It answers SETTINGS and PINGs while ``answersSettings`` and ``answersPings`` are true. It decodes field sections.
/// The server records the decoded heads and their bodies in ``LoopbackServer/rawRequests``.
package struct RawHTTP2Connection {
    package let connection: LoopbackConnection
    package var answersSettings = true
    package var answersPings = true
    private var reader = HTTP2WireReader()

    /// Makes the server's side and sends SETTINGS.
    package init(_ connection: LoopbackConnection, settings: [(UInt16, UInt32)] = []) async throws {
        self.connection = connection
        try await send(.settings(settings))
    }

    package func send(_ frames: HTTP2WireFrame...) async throws {
        var bytes = ByteBuffer()
        for frame in frames { bytes.writeImmutableBuffer(frame.bytes) }
        try await connection.send(bytes)
    }

    /// Returns the next frame, of any kind.
    package mutating func next() async throws -> HTTP2WireFrame {
        while true {
            if let frame = reader.next() {
                if frame.kind == .settings, !frame.isAcknowledgement, answersSettings {
                    try await send(.settingsAcknowledgement)
                }
                if frame.kind == .ping, !frame.isAcknowledgement, answersPings { try await send(frame.pong) }
                if frame.kind == .data {
                    connection.noteBody(frame.payload, on: frame.stream, endsStream: frame.endsStream)
                }
                return frame
            }
            let bytes = try await connection.read()
            guard bytes.readableBytes > 0 else { throw ConnectionEnded() }
            reader.append(bytes)
        }
    }

    /// Returns the next head or trailers of a request.
    package mutating func nextSection() async throws -> (frame: HTTP2WireFrame, fields: [HTTP2WireField]) {
        while true {
            let frame = try await next()
            if frame.kind == .headers { return (frame, try fields(of: frame)) }
        }
    }

    /// Decodes the fields of a HEADERS frame that ``next()`` has returned. Call it for each such frame, in order.
    package mutating func fields(of frame: HTTP2WireFrame) throws -> [HTTP2WireField] {
        let fields = try reader.fields(of: frame)
        connection.note(fields, on: frame.stream, endsStream: frame.endsStream)
        return fields
    }

    /// Answers a request without a body.
    package func reply(_ status: String = "200", on stream: Int, ends: Bool = true) async throws {
        let flags = HTTP2WireFrame.endHeaders | (ends ? HTTP2WireFrame.endStream : 0)
        try await send(
            HTTP2WireFrame(.headers, flags: flags, on: stream, HTTP2WireField.section([.init(":status", status)])))
    }
}

extension [HTTP2WireField] {
    /// The value of the first field of this name.
    package subscript(name: String) -> String? { first { $0.name == name }?.value }
}
