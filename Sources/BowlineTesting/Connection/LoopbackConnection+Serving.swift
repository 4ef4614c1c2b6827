internal import BowlineCore
internal import NIOCore

extension LoopbackConnection {
    /// Serves requests with the server's routes and its `respond`, while the client sends requests and the connection
    /// is kept alive. Connections without a script do this.
    ///
    /// - Throws: an error if the bytes are not a valid request, or the client ends the connection during a request;
    ///   `CancellationError` when the server stops.
    public func serveRequests() async throws {
        while let head = try await readRequestHead() {
            if let reply = try await server.scripts.earlyReply(to: head) {
                guard try await perform(reply, answering: head) else { return }
                _ = try await readBody(of: head)
                continue
            }
            if head.expectsContinue, server.options.answersExpectContinue { try await sendContinue() }
            let request = try await readBody(of: head)
            let reply = try await server.scripts.reply(to: request)
            guard try await perform(reply, answering: request) else { return }
        }
    }

    /// Performs a reply.
    ///
    /// - Parameters:
    ///   - reply: The reply.
    ///   - request: The request that it answers.
    /// - Returns: whether the connection can take another request.
    /// - Throws: an error if the connection has ended; `CancellationError` when the server stops.
    @discardableResult
    public func perform(_ reply: ScriptedReply, answering request: RecordedRequest) async throws -> Bool {
        // Join bytes that are sent without a wait between them, so that they are in one write.
        var pending = ByteBuffer()
        var isKeptAlive = !request.endsConnection
        for step in reply.steps {
            if case .send(let payload) = step {
                if payload.endsConnection { isKeptAlive = false }
                pending.writeImmutableBuffer(payload.bytes(answering: request))
                continue
            }
            try await send(pending)
            pending.clear()
            guard try await perform(step, answering: request) else { return false }
        }
        try await send(pending)
        return isKeptAlive
    }

    private func perform(_ step: ScriptedReply.Step, answering request: RecordedRequest) async throws -> Bool {
        switch step {
        case .send(let payload): try await send(payload.bytes(answering: request))
        case .sendSlowly(let payload, let size, let interval):
            try await trickle(payload.bytes(answering: request), size: size, every: interval)
            return !payload.endsConnection
        case .sendPart(let payload, let count):
            var bytes = payload.bytes(answering: request)
            try await send(bytes.readSlice(length: min(count, bytes.readableBytes)) ?? bytes)
        case .pause(let duration): try await Task.sleep(for: duration, tolerance: .zero)
        case .wait(let gate): try await gate.wait()
        case .halfClose: try await halfClose()
        case .stall:
            try await stall()
            return false
        case .close:
            try await closeNow()
            return false
        case .closeWithoutNotify:
            try await closeWithoutNotify()
            return false
        case .reset, .resetStream:
            try await reset()
            return false
        }
        return true
    }

    /// Starts the script of an established connection.
    func begin() {
        facts.withLock { $0.isEstablished = true }
        server.scripts.run { await self.run() }
    }

    private func run() async {
        do {
            if let script = server.scripts.connectionScript {
                try await script(self)
            } else {
                try await serveRequests()
            }
        } catch is ConnectionEnded {
            // The client has ended the connection. The connection's record shows that.
        } catch is CancellationError {
            // The server is stopping.
        } catch let error as MalformedRequest {
            server.journal.noteProblem("connection \(number): \(error)")
            try? await reply(400, fields: [.connection: "close"], body: error.description)
        } catch {
            server.journal.noteProblem("connection \(number): \(error)")
        }
        try? await closeNow()
    }
}

extension ScriptedReply.Payload {
    func bytes(answering request: RecordedRequest) -> ByteBuffer {
        switch self {
        case .response(let response): response.bytes(answering: request.method)
        case .bytes(let bytes): bytes
        }
    }

    var endsConnection: Bool {
        if case .response(let response) = self { response.endsConnection } else { false }
    }
}

extension RecordedRequest {
    /// Counts bytes of the body. Keeps them until `limit` bytes are kept in all.
    mutating func append(_ bytes: ByteBuffer, keeping limit: Int) {
        bodyLength += bytes.readableBytes
        let room = max(0, limit - body.readableBytes)
        guard var kept = bytes.getSlice(at: bytes.readerIndex, length: min(room, bytes.readableBytes)) else { return }
        // A small slice would keep all bytes of the socket's read in memory.
        if body.readableBytes == 0, kept.storageCapacity <= 2 * kept.readableBytes {
            body = kept
        } else {
            body.writeBuffer(&kept)
        }
    }

    var endsConnection: Bool {
        fields[values: .connection].contains { $0.lowercased().split(separator: ",").contains("close") }
    }
}
