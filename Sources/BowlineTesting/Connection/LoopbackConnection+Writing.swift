public import BowlineCore
public import NIOCore

extension LoopbackConnection {
    /// Sends bytes as they are; returns when the socket has taken them all, so a slow client holds the script up.
    ///
    /// - Throws: if the client is gone.
    public func send(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await counting(bytes.readableBytes) { try await channel.writeAndFlush(bytes).get() }
    }

    /// Counts bytes as sent before they are, so that whoever has received them finds them counted.
    private func counting(_ count: Int, _ write: () async throws -> Void) async throws {
        facts.withLock { $0.bytesSent += count }
        do {
            try await write()
        } catch {
            facts.withLock { $0.bytesSent -= count }
            throw ConnectionEnded()
        }
    }

    /// Sends text as it is.
    ///
    /// - Throws: if the client is gone.
    public func send(_ text: String) async throws {
        try await send(ByteBuffer(string: text))
    }

    /// Sends bytes past the encryption, as somebody on the way would put them in: parts of TLS records, alerts, garbage.
    ///
    /// Without TLS it is what `send` does.
    ///
    /// - Throws: if the client is gone.
    public func sendUnencrypted(_ bytes: ByteBuffer) async throws {
        let channel = channel
        try await counting(bytes.readableBytes) {
            try await channel.eventLoop.flatSubmit {
                let sent = channel.eventLoop.makePromise(of: Void.self)
                do {
                    try channel.pipeline.syncOperations.handler(type: SocketEdge.self).send(bytes, promise: sent)
                } catch {
                    sent.fail(error)
                }
                return sent.futureResult
            }.get()
        }
    }

    /// Sends the first `count` of these bytes and closes the connection in order.
    ///
    /// - Throws: if the client is gone.
    public func send(_ bytes: ByteBuffer, cutAfter count: Int) async throws {
        try await send(bytes.getSlice(at: bytes.readerIndex, length: min(count, bytes.readableBytes)) ?? bytes)
        try await closeNow()
    }

    /// Sends a response, framed by its length unless `framing` says otherwise.
    ///
    /// - Throws: if the client is gone.
    public func reply(
        _ status: Int = 200,
        fields: HTTPFields = [:],
        body: String = "",
        framing: ScriptedResponse.Framing = .length,
        trailers: HTTPFields = [:]
    ) async throws {
        let response = ScriptedResponse(status, fields: fields, body: body, framing: framing, trailers: trailers)
        try await send(response.bytes())
    }

    /// Sends a response.
    ///
    /// - Parameters:
    ///   - response: What is sent.
    ///   - request: What it answers: a response to HEAD goes without its body.
    /// - Throws: if the client is gone.
    public func reply(_ response: ScriptedResponse, to request: RecordedRequest? = nil) async throws {
        try await send(response.bytes(answering: request?.method))
    }

    /// Sends `100 Continue`.
    ///
    /// - Throws: if the client is gone.
    public func sendContinue() async throws {
        try await send("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Sends bytes in small pieces, with a pause of the machine's clock before each but the first.
    ///
    /// - Parameters:
    ///   - bytes: What to send.
    ///   - size: Bytes in a piece, 1 or more.
    ///   - interval: The pause.
    /// - Throws: if the client is gone.
    public func trickle(_ bytes: ByteBuffer, size: Int = 1, every interval: Duration) async throws {
        var rest = bytes
        var isFirst = true
        while rest.readableBytes > 0, let piece = rest.readSlice(length: min(max(1, size), rest.readableBytes)) {
            if !isFirst { try await Task.sleep(for: interval, tolerance: .zero) }
            isFirst = false
            try await send(piece)
        }
    }

    /// Sends text in small pieces.
    ///
    /// - Throws: if the client is gone.
    public func trickle(_ text: String, size: Int = 1, every interval: Duration) async throws {
        try await trickle(ByteBuffer(string: text), size: size, every: interval)
    }
}
