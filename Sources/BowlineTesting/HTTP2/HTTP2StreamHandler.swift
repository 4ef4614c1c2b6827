internal import BowlineCore
internal import NIOCore
internal import NIOHPACK
internal import NIOHTTP2

/// Reads one request of an HTTP/2 connection, and starts the task that answers it.
///
/// Used on the connection's event loop only.
final class HTTP2StreamHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let connection: LoopbackConnection
    private let streams: HTTP2Streams
    private var request: RecordedRequest?
    private var phase = Phase.new

    private enum Phase {
        case new
        /// The request is read and answered.
        case served
        /// The request was malformed. Nothing more is read.
        case refused
        /// The request came after the connection's last request.
        case ignored
    }
    private var stream: LoopbackStream?

    init(_ connection: LoopbackConnection, streams: HTTP2Streams) {
        self.connection = connection
        self.streams = streams
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase == .new || phase == .served else { return }
        switch unwrapInboundIn(data) {
        case .headers(let headers):
            do {
                if request == nil { try began(headers.headers, context) } else { try trailers(headers.headers) }
            } catch {
                refuse(error, context)
                return
            }
            if headers.endStream { completed(context) }
        case .data(let data):
            if case .byteBuffer(let bytes) = data.data { receive(bytes) }
            if data.endStream { completed(context) }
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // SwiftNIO closes the stream's channel next.
        guard error is NIOHTTP2Errors.StreamClosed, var request else { return }
        request.wasReset = true
        self.request = request
        connection.server.journal.received(request)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let request, !request.isComplete { connection.server.journal.received(request) }
        stream?.ended()
        if phase == .served || phase == .refused { streams.ended() }
        context.fireChannelInactive()
    }

    private func began(_ headers: HPACKHeaders, _ context: ChannelHandlerContext) throws {
        let id = try context.channel.syncOptions?.getOption(HTTP2StreamChannelOptions.streamID) ?? .rootStream
        phase = streams.began(id) ? .served : .ignored
        guard phase == .served else { return }
        let head = try RequestHead(headers)
        let number = connection.facts.withLock { facts in
            facts.requests += 1
            return facts.requests
        }
        let request = connection.server.journal.began(head, on: connection.number, number: number, stream: Int(id))
        self.request = request
        if connection.server.scripts.answersEarly {
            let stream = LoopbackStream(channel: context.channel, connection: connection)
            self.stream = stream
            connection.server.scripts.run { await stream.answerEarly(request) }
            return
        }
        if request.expectsContinue, connection.server.options.answersExpectContinue {
            let headers = HPACKHeaders([(":status", "100")])
            context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: headers))), promise: nil)
        }
    }

    private func trailers(_ headers: HPACKHeaders) throws {
        request?.trailers = try RequestHead.fields(headers)
    }

    private func receive(_ bytes: ByteBuffer) {
        guard request != nil else { return }
        request?.append(bytes, keeping: connection.server.options.recordedBodyLimit)
    }

    private func completed(_ context: ChannelHandlerContext) {
        guard var request else { return }
        request.isComplete = true
        self.request = request
        connection.facts.withLock { $0.completeRequests += 1 }
        // Record the request before the client can see the answer.
        connection.server.journal.received(request)
        if let stream {
            // Its task began when the head was received.
            stream.whole.withLock { $0 = request }
            return
        }
        let stream = LoopbackStream(channel: context.channel, connection: connection)
        self.stream = stream
        connection.server.scripts.run { [request] in await stream.answer(request) }
    }

    private func refuse(_ error: any Error, _ context: ChannelHandlerContext) {
        phase = .refused
        connection.server.journal.noteProblem("connection \(connection.number): \(error)")
        context.writeAndFlush(wrapOutboundOut(.rstStream(.protocolError)), promise: nil)
    }
}

extension RequestHead {
    /// Makes a head from a request's field section. Checks the fields as strictly as an HTTP/1.1 head (RFC 9113 §8.2,
    /// §8.3.1).
    init(_ headers: HPACKHeaders) throws {
        var pseudo: [String: String] = [:]
        var regular = HPACKHeaders()
        var text = ""
        for (name, value, _) in headers {
            text += "\(name): \(value)\r\n"
            guard name.hasPrefix(":") else {
                regular.add(name: name, value: value)
                continue
            }
            guard [":method", ":scheme", ":authority", ":path"].contains(name) else {
                throw MalformedRequest("\(name) is no pseudo-header field of a request")
            }
            guard regular.isEmpty else { throw MalformedRequest("\(name) comes after other fields") }
            guard pseudo.updateValue(value, forKey: name) == nil else { throw MalformedRequest("\(name) comes twice") }
        }
        guard let method = pseudo[":method"].flatMap(HTTPRequest.Method.init(_:)) else {
            throw MalformedRequest("the method is missing, or not a token")
        }
        guard let target = pseudo[":path"], target.hasPrefix("/") || target == "*", pseudo[":scheme"] != nil else {
            throw MalformedRequest("the path or the scheme is missing")
        }
        self.init(
            method: method, target: target, fields: try Self.fields(regular), text: text + "\r\n", framing: .chunked)
    }

    /// Returns the fields of a header or trailer section. Refuses the connection-specific fields of HTTP/1.1 (RFC 9113
    /// §8.2.2).
    static func fields(_ headers: HPACKHeaders) throws -> HTTPFields {
        var fields = HTTPFields()
        for (name, value, _) in headers {
            guard let fieldName = HTTPField.Name(name), name == fieldName.canonicalName else {
                throw MalformedRequest("a field's name is not a token in lower case")
            }
            let isForbidden = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
                .contains(name)
            guard !isForbidden, name != "te" || value == "trailers" else {
                throw MalformedRequest("\(name) has no place in HTTP/2")
            }
            fields.append(HTTPField(name: fieldName, value: value))
        }
        return fields
    }
}
