internal import BowlineCore
internal import NIOCore
internal import NIOHPACK
internal import NIOHTTP2

/// The answering side of one request over HTTP/2. It sends a reply in frames.
struct LoopbackStream: Sendable {
    let channel: any Channel
    let connection: LoopbackConnection
    /// Whether the stream has ended. Tasks wait on it.
    let isOver = Waitable(false)
    /// The complete request, for a task that began when the head was received; nil until it is complete.
    let whole = Waitable<RecordedRequest?>(nil)

    /// Notes that the stream has ended.
    func ended() {
        isOver.withLock { $0 = true }
        // Makes a task that waits for the rest of the request check `isOver` again.
        whole.withLock { _ in }
    }

    /// Answers with the server's routes and its `respond`, and ends the stream.
    func answer(_ request: RecordedRequest) async {
        await run { try await perform(connection.server.scripts.reply(to: request), answering: request) }
    }

    /// Answers with the server's `respondEarly`. If that returns no reply, waits for the whole request and answers it.
    func answerEarly(_ head: RecordedRequest) async {
        await run {
            if let reply = try await connection.server.scripts.earlyReply(to: head) {
                try await perform(reply, answering: head)
                return
            }
            if head.expectsContinue, connection.server.options.answersExpectContinue {
                try await write(.headers(.init(headers: HPACKHeaders([(":status", "100")]))))
            }
            let request = try await whole.wait { [isOver] whole -> RecordedRequest?? in
                if let whole { return .some(whole) }
                return isOver.withLock { $0 } ? .some(nil) : nil
            }
            guard let request else { return }
            try await perform(connection.server.scripts.reply(to: request), answering: request)
        }
    }

    private func run(_ script: () async throws -> Void) async {
        do {
            try await script()
        } catch is ConnectionEnded {
            // The client has ended the stream or the connection. The records show that.
        } catch is CancellationError {
            // The server is stopping.
        } catch {
            connection.server.journal.noteProblem("connection \(connection.number): \(error)")
            try? await write(.rstStream(.internalError))
        }
    }

    private func perform(_ reply: ScriptedReply, answering request: RecordedRequest) async throws {
        for step in reply.steps {
            switch step {
            case .send(.response(let response)): try await send(response, to: request)
            case .sendSlowly(.response(let response), let size, let interval):
                try await send(response, to: request, inPiecesOf: max(1, size), every: interval)
            case .sendPart(.response(let response), let count):
                let head = response.bytes(answering: .head).readableBytes
                try await send(response, to: request, cutAfter: count - head)
            case .send(.bytes), .sendSlowly(.bytes, _, _), .sendPart(.bytes, _): throw NotInHTTP2("bytes as they are")
            case .halfClose: throw NotInHTTP2("half a close")
            case .pause(let duration): try await Task.sleep(for: duration, tolerance: .zero)
            case .wait(let gate): try await gate.wait()
            case .resetStream(let code): try await write(.rstStream(HTTP2ErrorCode(networkCode: code)))
            case .stall: try await isOver.wait { $0 ? () : nil }
            case .close: try await connection.closeNow()
            case .closeWithoutNotify: try await connection.closeWithoutNotify()
            case .reset: try await connection.reset()
            }
        }
    }

    /// - Parameter cut: How many bytes of the body to send, without ending the stream; below 0: nothing is sent, not
    ///   even the head; nil: the whole response.
    private func send(
        _ response: ScriptedResponse, to request: RecordedRequest, inPiecesOf size: Int = .max,
        every interval: Duration = .zero, cutAfter cut: Int? = nil
    ) async throws {
        if let cut, cut < 0 { return }
        var rest = response.hasBody(answering: request.method) ? response.body : ByteBuffer()
        if let cut { rest = rest.getSlice(at: rest.readerIndex, length: min(cut, rest.readableBytes)) ?? rest }
        let trailers = response.trailers.isEmpty || response.framing == .length ? nil : response.trailers
        let isFinal = response.status >= 200 && cut == nil
        let endsWithHead = isFinal && rest.readableBytes == 0 && trailers == nil
        try await write(response.http2Headers(answering: request.method), to: request, endStream: endsWithHead)
        while rest.readableBytes > 0, let piece = rest.readSlice(length: min(size, rest.readableBytes)) {
            if interval > .zero { try await Task.sleep(for: interval, tolerance: .zero) }
            let isLast = isFinal && rest.readableBytes == 0 && trailers == nil
            try await write(.data(.init(data: .byteBuffer(piece), endStream: isLast)))
        }
        guard isFinal, let trailers else { return }
        var headers = HPACKHeaders()
        for field in trailers { headers.add(name: field.name.canonicalName, value: field.value) }
        try await write(headers, to: request, endStream: true)
    }

    /// Writes a field section of any size.
    private func write(_ headers: HPACKHeaders, to request: RecordedRequest, endStream: Bool) async throws {
        var first = HPACKHeaders()
        var rest: [HTTP2WireField] = []
        var size = 0
        for (name, value, indexing) in headers {
            size += name.utf8.count + value.utf8.count + 32
            if size <= HTTP2Continuations.firstLimit {
                first.add(name: name, value: value, indexing: indexing)
            } else {
                rest.append(HTTP2WireField(name, value))
            }
        }
        if !rest.isEmpty, let stream = request.stream {
            try await prepare(HTTP2WireField.section(rest), for: stream)
        }
        try await write(.headers(.init(headers: first, endStream: endStream)))
    }

    /// Passes encoded fields to the handler that appends them to the stream's next HEADERS frame.
    private func prepare(_ rest: ByteBuffer, for stream: Int) async throws {
        guard let parent = channel.parent else { throw ConnectionEnded() }
        do {
            try await channel.eventLoop.submit {
                try parent.pipeline.syncOperations.handler(type: HTTP2Continuations.self).add(rest, to: stream)
            }.get()
        } catch {
            throw ConnectionEnded()
        }
    }

    /// Writes a frame. Returns when the socket has taken it, so a slow client delays the reply.
    private func write(_ payload: HTTP2Frame.FramePayload) async throws {
        do {
            try await channel.writeAndFlush(payload).get()
        } catch {
            throw ConnectionEnded()
        }
    }
}

/// The error of a reply that requires something that HTTP/2 does not have.
struct NotInHTTP2: Error, CustomStringConvertible {
    let what: String

    init(_ what: String) {
        self.what = what
    }

    var description: String { "a reply over HTTP/2 cannot send \(what)" }
}

extension ScriptedResponse {
    /// The head as a field section. It has no fields that frame an HTTP/1.1 message, except the length if it is known.
    func http2Headers(answering method: HTTPRequest.Method) -> HPACKHeaders {
        var headers = HPACKHeaders([(":status", "\(status)")])
        for field in fields where framing == .manual || !Self.isOfHTTP1(field.name.canonicalName) {
            headers.add(name: field.name.canonicalName, value: field.value)
        }
        if framing == .length, mayHaveBody { headers.add(name: "content-length", value: "\(body.readableBytes)") }
        return headers
    }

    private static func isOfHTTP1(_ name: String) -> Bool {
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].contains(name)
    }
}
