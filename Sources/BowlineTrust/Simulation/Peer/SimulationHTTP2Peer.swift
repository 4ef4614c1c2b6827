internal import BowlineCore
internal import BowlineTesting
internal import NIOCore
internal import NIOHPACK
internal import NIOHTTP2

/// The service's side of one HTTP/2 connection. SwiftNIO's package reads and writes the frames, so that the client's
/// wire is compared with independent code.
// Safety: used on the simulation's thread only.
final class SimulationHTTP2Peer: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// Less than half of the smallest window.
    private static let updateThreshold = 400

    fileprivate let service: SimulationService
    fileprivate let channel: SimulationChannel
    private var random: SeededRandom
    private let limits: SimulationPlan.Streams
    private var streams: [HTTP2StreamID: SimulationHTTP2Stream] = [:]
    private var latest = HTTP2StreamID.rootStream
    /// The bytes of the connection's window that were not given back yet. SwiftNIO delivers a DATA frame in the pieces in
    /// which it arrives, so an update for each piece would be an update for each byte.
    private var taken = 0
    private var isGoingAway = false
    private var isEnding = false
    /// Whether a frame is being written. Errors at that time say that the peer may not send the frame any more.
    private var isWriting = false

    init(
        _ service: SimulationService, channel: SimulationChannel, random: SeededRandom, streams: SimulationPlan.Streams
    ) {
        self.service = service
        self.channel = channel
        self.random = random
        limits = streams
    }

    /// Adds the handlers of a peer to its channel.
    func add() throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: streamLimit()),
            HTTP2Setting(parameter: .initialWindowSize, value: window()),
        ]
        // The service checks the requests itself.
        connection.contentLengthValidation = .disabled
        // SwiftNIO measures these in real time, in which a simulated hour passes at once.
        connection.maximumSequentialEmptyDataFrames = 100_000
        connection.controlFrameRateLimit.windowLength = .milliseconds(1)
        connection.controlFrameRateLimit.maximumCount = 10_000
        connection.maximumConnectionGlitches = 1_000_000
        connection.maximumRecentlyResetStreams = 1_000
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.streamResetFrameRateLimit.windowLength = .milliseconds(1)
        stream.streamResetFrameRateLimit.maximumCount = 10_000
        stream.streamErrorRateLimit.windowLength = .milliseconds(1)
        stream.streamErrorRateLimit.maximumCount = 10_000
        try channel.pipeline.syncOperations.addHandlers([
            NIOHTTP2Handler(mode: .server, connectionConfiguration: connection, streamConfiguration: stream), self,
        ])
    }

    private func streamLimit() -> Int {
        switch limits {
        case .calm: 100
        case .moody: [1, 2, 5, 100].picked(&random, else: 100)
        case .fixed(let limit): limit
        }
    }

    private func window() -> Int {
        limits == .moody ? [1_000, 5_000, 65_535, 1_000_000].picked(&random, else: 65_535) : 65_535
    }

    var isOpen: Bool { channel.isActive && !isEnding }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.payload {
        case .headers(let headers): received(headers, on: frame.streamID)
        case .data(let data): received(data, on: frame.streamID)
        case .rstStream:
            guard let stream = streams[frame.streamID] else { return }
            stream.isReset = true
            over(stream)
        default: break
        }
    }

    private func received(_ headers: HTTP2Frame.FramePayload.Headers, on id: HTTP2StreamID) {
        if let stream = streams[id] {
            // Trailers.
            if headers.endStream { receivedEnd(stream) }
            return
        }
        guard !isGoingAway || id <= latest else { return }
        latest = max(latest, id)
        let stream = SimulationHTTP2Stream(id, of: self)
        streams[id] = stream
        let section = headers.headers
        let fields = SimulationService.Fields(
            number: section.first(name: SimulationContent.numberField), key: section.first(name: "idempotency-key"),
            authorization: section.first(name: "authorization"))
        stream.arrival = service.arrived(
            method: section.first(name: ":method") ?? "", target: section.first(name: ":path") ?? "", fields,
            on: channel.number, wire: stream, loop: channel.loop)
        stream.arrival?.begin(expectsContinue: section.first(name: "expect") == "100-continue")
        if headers.endStream { receivedEnd(stream) }
    }

    private func receivedEnd(_ stream: SimulationHTTP2Stream) {
        stream.arrival?.receivedEnd()
        if stream.isAnswered { over(stream) }
    }

    private func received(_ data: HTTP2Frame.FramePayload.Data, on id: HTTP2StreamID) {
        guard case .byteBuffer(let bytes) = data.data else { return }
        giveBack(bytes.readableBytes, &taken, on: .rootStream)
        guard let stream = streams[id] else { return }
        if !data.endStream { giveBack(bytes.readableBytes, &stream.taken, on: id) }
        stream.arrival?.receive(bytes)
        if data.endStream { receivedEnd(stream) }
    }

    /// Gives bytes back to the client's window, when they are so many that an update for them is reasonable.
    private func giveBack(_ count: Int, _ taken: inout Int, on id: HTTP2StreamID) {
        taken += count
        guard taken >= Self.updateThreshold else { return }
        let increment = taken
        taken = 0
        write(.windowUpdate(windowSizeIncrement: increment), on: id)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An error of one stream: a client may reset any stream, and may send on a stream that the peer has reset.
        if isWriting || error is NIOHTTP2Errors.StreamError || error is NIOHTTP2Errors.StreamClosed { return }
        // A frame of the service waited for the client's window, and the client has reset the stream meanwhile.
        if let error = error as? NIOHTTP2Errors.NoSuchStream, error.streamID <= latest { return }
        if !(error is IOError) { service.problem("connection \(channel.number): \(type(of: error)): \(error)") }
        context.close(promise: nil)
    }

    // MARK: Writing

    fileprivate func write(
        _ payload: HTTP2Frame.FramePayload, on id: HTTP2StreamID, _ written: EventLoopPromise<Void>? = nil
    ) {
        guard isOpen else {
            written?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        isWriting = true
        channel.writeAndFlush(HTTP2Frame(streamID: id, payload: payload), promise: written)
        isWriting = false
    }

    /// A stream's answer is complete.
    fileprivate func answered(_ stream: SimulationHTTP2Stream, closes: Bool, isAnnounced: Bool) {
        guard streams[stream.id] === stream else { return }
        stream.isAnswered = true
        if closes, isAnnounced { goAway() } else if closes { close() }
        // The rest of a request is read, so that the client may send it.
        if stream.arrival?.isWhole ?? true { over(stream) }
        if limits == .moody, isOpen, random.nextBool(probability: 0.1) { changeSettings() }
    }

    /// Both directions of a stream have ended, or it is reset.
    fileprivate func over(_ stream: SimulationHTTP2Stream) {
        streams[stream.id] = nil
        if isGoingAway, streams.isEmpty { close() }
    }

    private func changeSettings() {
        let setting =
            random.nextBool()
            ? HTTP2Setting(parameter: .maxConcurrentStreams, value: streamLimit())
            : HTTP2Setting(parameter: .initialWindowSize, value: window())
        service.note("connection \(channel.number) changes \(setting)")
        write(.settings(.settings([setting])), on: .rootStream)
    }

    /// Sends a GOAWAY that names the latest stream as the last (RFC 9113 §6.8). It bypasses SwiftNIO's frame handler,
    /// which would report an error if the client opened a later stream before it received the GOAWAY.
    private func goAway() {
        guard !isGoingAway, isOpen,
            let frames = try? channel.pipeline.syncOperations.context(handlerType: NIOHTTP2Handler.self)
        else { return }
        isGoingAway = true
        service.note("connection \(channel.number) goes away after stream \(Int(latest))")
        var frame = ByteBuffer(bytes: [0, 0, 8, 7, 0, 0, 0, 0, 0])
        frame.writeInteger(UInt32(Int(latest)))
        frame.writeInteger(UInt32(0))
        frames.writeAndFlush(NIOAny(frame), promise: nil)
    }

    /// Ends the connection.
    fileprivate func close() {
        guard !isEnding else { return }
        // Later, so that the frames that this turn writes are sent first.
        channel.loop.perform {
            guard !self.isEnding else { return }
            self.isEnding = true
            self.channel.close(mode: .output, promise: nil)
            self.channel.loop.schedule(after: .seconds(2)) { self.channel.close(promise: nil) }
        }
    }
}

/// One stream of a peer.
// Safety: used on the simulation's thread only.
final class SimulationHTTP2Stream: SimulationWire, @unchecked Sendable {
    let id: HTTP2StreamID
    var arrival: SimulationArrival?
    var isReset = false
    /// The bytes of the stream's window that were not given back yet.
    var taken = 0
    /// Whether the answer is complete.
    var isAnswered = false
    private let peer: SimulationHTTP2Peer
    private var isAnnounced = false

    init(_ id: HTTP2StreamID, of peer: SimulationHTTP2Peer) {
        self.id = id
        self.peer = peer
    }

    var isOpen: Bool { peer.isOpen && !isReset }

    func sendInformational(_ status: Int) {
        peer.write(.headers(.init(headers: HPACKHeaders([(":status", "\(status)")]))), on: id)
    }

    func sendHead(
        _ status: Int, _ fields: [(name: String, value: String)], count: Int?, framing: SimulationAct.Framing,
        isLast: Bool
    ) {
        var headers = HPACKHeaders([(":status", "\(status)")])
        for field in fields { headers.add(name: field.name, value: field.value) }
        if let count, framing == .length { headers.add(name: "content-length", value: "\(count)") }
        isAnnounced = isLast
        peer.write(.headers(.init(headers: headers)), on: id)
    }

    func sendBody(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        peer.write(.data(.init(data: .byteBuffer(bytes))), on: id)
    }

    func sendEnd(closes: Bool) {
        let written = peer.channel.eventLoop.makePromise(of: Void.self)
        // The frame may wait for the client's window. Before it is written, the connection must not end.
        written.futureResult.whenComplete { [self] _ in
            // The framing "until the connection closes" does not exist here.
            peer.answered(self, closes: closes && arrival?.act.closesAfter == true, isAnnounced: isAnnounced)
        }
        peer.write(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)), on: id, written)
    }

    func close() {
        peer.close()
    }

    func reset() {
        end(.internalError)
    }

    func refuse() {
        end(.refusedStream)
    }

    private func end(_ code: NIOHTTP2.HTTP2ErrorCode) {
        peer.write(.rstStream(code), on: id)
        isReset = true
        peer.over(self)
    }
}
