internal import NIOCore
internal import NIOHTTP2

/// The last handler of an HTTP/2 connection's pipeline. It counts the requests, and sends GOAWAY at the limit.
///
/// Used on the connection's event loop only.
final class HTTP2Streams: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private let limit: Int?
    private let connection: LoopbackConnection
    private var context: ChannelHandlerContext?
    private var begun = 0
    private var open = 0
    private var isGoingAway = false

    init(limit: Int?, connection: LoopbackConnection) {
        self.limit = limit.map { max(1, $0) }
        self.connection = connection
    }

    /// Adds the handlers of HTTP/2 to the end of the connection's pipeline.
    static func add(to channel: any Channel, of connection: LoopbackConnection, _ options: LoopbackHTTP2) throws {
        let streams = HTTP2Streams(limit: options.requestsPerConnection, connection: connection)
        let bound = NIOLoopBound(streams, eventLoop: channel.eventLoop)
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        let listSize = min(max(1, options.maximumHeaderListSize), Int(Int32.max))
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: options.maximumStreams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: listSize),
        ]
        // A section may come in as many frames of 16,384 bytes as it needs.
        configuration.maximumSequentialContinuationFrames = max(5, listSize / 16_384 + 1)
        if let window = options.initialWindow {
            let value = min(max(1, window), Int(Int32.max))
            configuration.initialSettings.append(HTTP2Setting(parameter: .initialWindowSize, value: value))
        }
        // A script may send invalid responses, and `HTTP2StreamHandler` checks the requests.
        configuration.headerBlockValidation = .disabled
        configuration.contentLengthValidation = .disabled
        var streamConfiguration = NIOHTTP2Handler.StreamConfiguration()
        Self.allowResets(&configuration, &streamConfiguration)
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: channel.eventLoop, connectionConfiguration: configuration,
            streamConfiguration: streamConfiguration
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                let handler = HTTP2StreamHandler(connection, streams: bound.value)
                try stream.pipeline.syncOperations.addHandler(handler)
            }
        }
        try channel.pipeline.syncOperations.addHandlers([HTTP2Continuations(), handler, streams])
    }

    /// Raises SwiftNIO's limits against floods, because busy tests reach them.
    ///
    /// At such a limit SwiftNIO ends the connection with a GOAWAY that names stream 0 as the last, even though requests
    /// have been answered.
    private static func allowResets(
        _ connection: inout NIOHTTP2Handler.ConnectionConfiguration,
        _ stream: inout NIOHTTP2Handler.StreamConfiguration
    ) {
        // SwiftNIO allocates space for the count at once, so shorten the window instead of raising the count.
        stream.streamResetFrameRateLimit.windowLength = .milliseconds(1)
        stream.streamErrorRateLimit.windowLength = .milliseconds(1)
        connection.controlFrameRateLimit.windowLength = .milliseconds(1)
        connection.maximumConnectionGlitches = 1_000_000
        connection.maximumRecentlyResetStreams = 1000
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    /// Ignores frames of the connection as a whole: the frame handler processes them.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An error of one stream: a client may reset any stream.
        if error is NIOHTTP2Errors.StreamError || error is NIOHTTP2Errors.StreamClosed { return }
        if let rule = HTTP2BrokenRule(error) {
            connection.server.journal.noteProblem("connection \(connection.number): \(rule)")
        }
        context.close(promise: nil)
    }

    /// Counts a request. Returns whether the request is to be served.
    func began(_ id: HTTP2StreamID) -> Bool {
        guard !isGoingAway else { return false }
        begun += 1
        open += 1
        if begun == limit { goAway(after: id) }
        return true
    }

    /// Sends a GOAWAY that names this stream as the last (RFC 9113 §6.8). The GOAWAY bypasses SwiftNIO's frame handler.
    /// That handler would report an error of the connection if the client opened a later stream before it received the
    /// GOAWAY.
    private func goAway(after id: HTTP2StreamID) {
        isGoingAway = true
        guard let frames = try? context?.pipeline.syncOperations.context(handlerType: NIOHTTP2Handler.self) else {
            return
        }
        var frame = ByteBuffer(bytes: [0, 0, 8, 7, 0, 0, 0, 0, 0])
        frame.writeInteger(UInt32(Int(id)))
        frame.writeInteger(UInt32(0))
        frames.writeAndFlush(NIOAny(frame), promise: nil)
    }

    func ended() {
        open -= 1
        guard isGoingAway, open == 0, let context else { return }
        // Deferred, so that the stream's last frames are written first. Ends only our direction: a close with unread
        // requests would be a reset, and the client might lose the answers.
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.close(mode: .output, promise: nil) }
    }
}
