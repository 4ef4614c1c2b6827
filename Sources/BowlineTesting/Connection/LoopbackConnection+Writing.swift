public import BowlineCore
public import NIOCore

extension LoopbackConnection {
    /// Sends bytes unchanged. Returns when the socket has taken them all, so a slow client delays the script.
    ///
    /// - Throws: an error if the connection has ended.
    public func send(_ bytes: ByteBuffer) async throws {
        guard bytes.readableBytes > 0 else { return }
        try await counting(bytes.readableBytes) { try await channel.writeAndFlush(bytes).get() }
    }

    /// Counts the bytes before the write, so that the count is never less than the number of bytes that the client has
    /// received.
    private func counting(_ count: Int, _ write: () async throws -> Void) async throws {
        facts.withLock { $0.bytesSent += count }
        do {
            try await write()
        } catch {
            facts.withLock { $0.bytesSent -= count }
            throw ConnectionEnded()
        }
    }

    /// Sends text unchanged.
    ///
    /// - Throws: an error if the connection has ended.
    public func send(_ text: String) async throws {
        try await send(ByteBuffer(string: text))
    }

    /// Sends bytes without encrypting them, as an attacker between client and server would insert them: parts of TLS
    /// records, alerts, garbage.
    ///
    /// Without TLS it does the same as `send`.
    ///
    /// - Throws: an error if the connection has ended.
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

    /// Sends the first `count` of these bytes, then closes the connection in order.
    ///
    /// - Throws: an error if the connection has ended.
    public func send(_ bytes: ByteBuffer, cutAfter count: Int) async throws {
        try await send(bytes.getSlice(at: bytes.readerIndex, length: min(count, bytes.readableBytes)) ?? bytes)
        try await closeNow()
    }

    /// Sends a response. Its length frames it unless `framing` says otherwise.
    ///
    /// - Throws: an error if the connection has ended.
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
    ///   - response: The response to send.
    ///   - request: The request that it answers. A response to HEAD is sent without its body. nil: not HEAD.
    /// - Throws: an error if the connection has ended.
    public func reply(_ response: ScriptedResponse, to request: RecordedRequest? = nil) async throws {
        try await send(response.bytes(answering: request?.method))
    }

    /// Sends `100 Continue`.
    ///
    /// - Throws: an error if the connection has ended.
    public func sendContinue() async throws {
        try await send("HTTP/1.1 100 Continue\r\n\r\n")
    }

    /// Sends bytes in small pieces, with a pause before each piece except the first.
    ///
    /// - Parameters:
    ///   - bytes: The bytes to send.
    ///   - size: The number of bytes in a piece, 1 or more.
    ///   - interval: The pause, on the machine's clock.
    /// - Throws: an error if the connection has ended; `CancellationError` when the server stops.
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
    /// - Throws: an error if the connection has ended; `CancellationError` when the server stops.
    public func trickle(_ text: String, size: Int = 1, every interval: Duration) async throws {
        try await trickle(ByteBuffer(string: text), size: size, every: interval)
    }
}
