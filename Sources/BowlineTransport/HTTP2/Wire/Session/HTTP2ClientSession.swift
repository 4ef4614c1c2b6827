internal import BowlineCore
package import NIOCore

/// The client's side of one HTTP/2 connection (RFC 9113), without a socket. It takes received bytes, and returns events
/// and bytes to send.
///
/// The session identifies streams by number. It keeps no request, no body and no waiter. A body's bytes are in an event
/// or in the output. The caller asks ``sendable(on:)`` before it passes more bytes to ``send(_:endsStream:on:)``.
///
/// Call ``start()`` first. Then pass the bytes that were read to ``receive(_:)``, take events from ``nextEvent(now:)``
/// until it returns nil, and write the buffer that ``takeOutput()`` returns. ``HTTP2StreamState`` describes the states
/// of a stream. The states of the connection are:
///
/// | input | open | closing | failed |
/// |---|---|---|---|
/// | `open` of a stream | opened, while `hasRoom` | a bug of ours | a bug of ours |
/// | GOAWAY | closing | closing | dropped |
/// | GOAWAY with a higher last stream than before | – | failed | – |
/// | a violation of a stream | open, the stream is reset | closing, the stream is reset | – |
/// | a violation of the connection | failed | failed | – |
/// | any other frame | open | closing | dropped |
/// | our `goAway` | open, with no room for streams | closing | nothing |
///
/// A failed session has no streams, writes nothing after its GOAWAY, and reports nothing after
/// ``Event/connectionFailed(_:)``.
///
/// The peer's settings are in force as soon as they arrive. Our settings are in force when the peer has acknowledged
/// them; before that, the receive window of a stream is 65,535 bytes.
///
/// Memory: an unfinished frame or field section, the compression tables, one small record for each stream that is open
/// or was reset, and the output that was not taken yet. No input traps.
package struct HTTP2ClientSession: ~Copyable, Sendable {
    /// An event that ``nextEvent(now:)`` returns.
    package enum Event: Sendable {
        /// The peer's settings, which the session has applied and acknowledged. The first of them make the connection
        /// ready.
        case settings(HTTP2PeerSettings)
        /// Our settings are in force: the receive windows of all streams have changed (RFC 9113 §6.9.2).
        case settingsAcknowledged
        /// A field section on an open stream. The caller decides whether it is informational, final or trailers.
        case headers(stream: Int, HPACKFields, endsStream: Bool)
        /// Bytes of a body, counted in both windows. Empty only if they end the stream.
        case data(stream: Int, ByteBuffer, endsStream: Bool)
        /// The peer has reset the stream. It is no longer open in the session.
        case reset(stream: Int, HTTP2ErrorCode)
        /// The peer takes no new streams. The streams above `lastStream` are no longer open in the session. A later
        /// GOAWAY never raises `lastStream`.
        case goAway(lastStream: Int, HTTP2ErrorCode)
        /// The answer to a PING.
        case pong(UInt64)
        /// The peer sent a PING. Its answer is written.
        case ping
        /// The peer lets us send more: on the stream or, if nil, on all streams. Ask
        /// ``HTTP2ClientSession/sendable(on:)`` again.
        case windowOpened(stream: Int?)
        /// The peer broke a rule on a stream. RST_STREAM is written, and the stream is no longer open in the session.
        case streamFailed(stream: Int, HTTP2Violation)
        /// The peer broke a rule of the connection. GOAWAY is written, and no stream is open in the session any more.
        case connectionFailed(HTTP2Violation)
    }

    enum Phase: Sendable, Hashable {
        case open
        /// The peer has sent GOAWAY.
        case closing(lastStream: Int)
        case failed
    }

    /// The payload of the longest DATA frame that we send. Every peer accepts it (RFC 9113 §4.2).
    private static let dataFrameSize = 16_384
    /// The stream limit if the peer names none (RFC 9113 §6.5.2 recommends no less).
    private static let defaultStreamLimit = 100
    /// The size of a WINDOW_UPDATE frame (RFC 9113 §4.1, §6.9).
    private static let windowUpdateByteCount = 13
    /// The initial size of both windows (RFC 9113 §6.9.2).
    private static let initialWindow = 65_535

    let options: HTTP2SessionOptions
    let allocator: ByteBufferAllocator
    let streamWindow: Int
    private let connectionWindow: Int

    var parser: HTTP2FrameParser
    var writer: HTTP2FrameWriter
    var decoder = HPACKSectionDecoder()
    private var encoder = HPACKSectionEncoder()
    var streams: HTTP2StreamRecords
    var floods: HTTP2FloodCounters
    var sendWindow = HTTP2SendWindow(HTTP2ClientSession.initialWindow)
    var receiveWindow = HTTP2ReceiveWindow(size: HTTP2ClientSession.initialWindow)
    /// The receive window of a new stream: our setting once the peer has acknowledged it.
    var streamWindowInForce = HTTP2ClientSession.initialWindow
    /// Whether our SETTINGS wait for an acknowledgement. There is never a second SETTINGS frame.
    var awaitsAcknowledgement = false
    var phase = Phase.open
    private var hasSentGoAway = false
    /// The stream whose DATA frame is arriving in pieces. 0: none.
    var arrivingDataStream = 0
    /// Whether the DATA frame that is arriving has ended its stream by a violation. Its later pieces are dropped.
    var refusesArrivingData = false
    /// Whether a SETTINGS frame has opened the windows of all streams. The next event reports it.
    var hasOpenedAllWindows = false

    /// The peer's settings.
    package private(set) var peer = HTTP2PeerSettings()

    /// - Parameter firstStreamID: The number of the first stream; odd. Only tests use another number than 1.
    package init(
        options: HTTP2SessionOptions, firstStreamID: Int = 1, allocator: ByteBufferAllocator = ByteBufferAllocator()
    ) {
        self.options = options
        self.allocator = allocator
        streamWindow = min(max(options.streamWindow, 1), HTTP2SendWindow.maximum)
        connectionWindow = min(max(options.connectionWindow, Self.initialWindow), HTTP2SendWindow.maximum)
        var limits = HTTP2FrameLimits()
        // A section within `maximumListSize` must be accepted even if it is hardly compressed.
        limits.maximumBlockBytes = max(limits.maximumBlockBytes, options.fieldLimits.maximumListSize)
        parser = HTTP2FrameParser(limits: limits)
        writer = HTTP2FrameWriter(allocator: allocator)
        // Remembers at least as many reset streams as may lose their places at once.
        streams = HTTP2StreamRecords(firstID: firstStreamID, rememberedLimit: max(64, options.maximumStreams))
        floods = HTTP2FloodCounters(options: options)
    }

    // MARK: The connection

    /// Writes the preface, our SETTINGS and the connection's first WINDOW_UPDATE (RFC 9113 §3.4).
    package mutating func start() {
        writer.preface()
        writer.settings([
            HTTP2SettingEntry(identifier: HTTP2SettingEntry.enablePushIdentifier, value: 0),
            HTTP2SettingEntry(
                identifier: HTTP2SettingEntry.initialWindowSizeIdentifier, value: UInt32(clamping: streamWindow)),
            HTTP2SettingEntry(
                identifier: HTTP2SettingEntry.maximumHeaderListSizeIdentifier,
                value: UInt32(clamping: options.fieldLimits.maximumListSize)),
        ])
        awaitsAcknowledgement = true
        let increment = connectionWindow - receiveWindow.size
        guard increment > 0 else { return }
        writer.windowUpdate(stream: 0, increment: increment)
        receiveWindow.resize(to: connectionWindow)
    }

    /// Returns everything to be sent since the last call, in order. nil: nothing.
    package mutating func takeOutput() -> ByteBuffer? {
        floods.outputTaken()
        if isConnectionUpdateDue {
            writer.windowUpdate(
                stream: 0, increment: receiveWindow.takeIncrement(isWithinFrame: arrivingDataStream != 0))
        }
        return writer.take()
    }

    /// How many bytes `takeOutput` would return.
    package var outputByteCount: Int { writer.byteCount + (isConnectionUpdateDue ? Self.windowUpdateByteCount : 0) }

    /// Whether the connection's WINDOW_UPDATE is due.
    ///
    /// It is written only when the output is taken. Before that, the peer cannot know of it, and DATA that needs it is
    /// a violation.
    ///
    /// It is also written while a DATA frame is arriving, because a read rarely ends at the end of a frame if a peer
    /// sends without a pause. In this case, the increment counts only after the frame that is arriving. So whether that
    /// frame fits the window does not depend on where the reads split it.
    private var isConnectionUpdateDue: Bool {
        receiveWindow.isIncrementDue && phase != .failed
    }

    /// Adds bytes that were read. A failed session drops them.
    package mutating func receive(_ bytes: consuming ByteBuffer) {
        guard phase != .failed else { return }
        parser.append(bytes)
    }

    /// Whether a frame or a field section has begun and not ended. The peer must not close the transport here.
    package var isWithinFrame: Bool { parser.isWithinFrame }

    /// Writes GOAWAY: we open no more streams (RFC 9113 §6.8).
    package mutating func goAway(code: HTTP2ErrorCode) {
        guard phase != .failed else { return }
        hasSentGoAway = true
        writer.goAway(lastStream: 0, code: code)
    }

    /// Applies the peer's settings and acknowledges them.
    mutating func apply(_ entries: [HTTP2SettingEntry]) throws(HTTP2Violation) {
        let window = peer.initialWindowSize
        try peer.apply(entries)
        // Applies each entry, not only the last: a table that shrinks and grows again loses its entries.
        for entry in entries where entry.identifier == HTTP2SettingEntry.headerTableSizeIdentifier {
            encoder.peerTableSize(Int(entry.value))
        }
        let difference = peer.initialWindowSize - window
        if difference != 0 {
            guard streams.changeSendWindows(by: difference) == .applied else {
                throw HTTP2Violation(
                    .flowControlError, .connection,
                    "a SETTINGS_INITIAL_WINDOW_SIZE that raises a window above 2³¹ − 1", rule: "RFC 9113 §6.9.2")
            }
            hasOpenedAllWindows = difference > 0 && streams.openCount > 0
        }
        writer.settingsAcknowledgement()
    }

    // MARK: Opening

    /// How many streams may be open at once: the peer's limit, or 100 if it names none, and at most
    /// `options.maximumStreams`.
    package var streamLimit: Int {
        min(peer.maximumConcurrentStreams ?? Self.defaultStreamLimit, options.maximumStreams)
    }

    /// The number of places that are taken, as they count against the limit: by open streams, and by streams that we
    /// have reset while the peer may not know of the reset.
    package var occupied: Int { streams.occupied }

    /// The number of streams that are open on our side.
    package var openCount: Int { streams.openCount }

    /// The number of the stream that was opened last. 0: none was.
    package var lastOpened: Int { streams.lastOpened }

    /// Whether no stream numbers are left (RFC 9113 §5.1.1).
    package var isExhausted: Bool { streams.isExhausted }

    /// Whether the connection takes no new streams, because of the peer's GOAWAY or a violation.
    package var isClosing: Bool { phase != .open }

    /// Whether another stream may be opened now.
    package var hasRoom: Bool { phase == .open && !hasSentGoAway && !isExhausted && occupied < streamLimit }

    /// Whether the stream is open on our side.
    package func isOpen(_ stream: Int) -> Bool { streams.state(of: stream).isOpen }

    /// Opens a stream and writes the HEADERS of its request. The caller checks ``hasRoom`` first.
    ///
    /// - Returns: The stream's number.
    /// - Throws: ``HTTP2SectionTooLarge`` if the section is larger than the peer's SETTINGS_MAX_HEADER_LIST_SIZE. Then
    ///   nothing is written, and no stream number is used.
    package mutating func open(
        _ head: some HTTP2FieldSource, endsStream: Bool
    ) throws(HTTP2SectionTooLarge) -> Int {
        precondition(hasRoom, "a stream is opened without room")
        try checkSize(of: head)
        let stream = streams.open(
            endsStream: endsStream, sendWindow: peer.initialWindowSize, receiveWindow: streamWindowInForce)
        floods.streamOpened()
        write(head, on: stream, endsStream: endsStream)
        return stream
    }

    private func checkSize(of section: some HTTP2FieldSource) throws(HTTP2SectionTooLarge) {
        guard let limit = peer.maximumHeaderListSize, section.listSizeBound > limit else { return }
        let size = section.listSize
        guard size <= limit else { throw HTTP2SectionTooLarge(size: size, limit: limit) }
    }

    private mutating func write(_ section: some HTTP2FieldSource, on stream: Int, endsStream: Bool) {
        Self.write(
            section, on: stream, endsStream: endsStream, maximumFrameSize: peer.maximumFrameSize, with: &encoder,
            to: &writer)
    }

    /// Static, so that the compiler sees the encoder and the writer as two variables.
    private static func write(
        _ section: some HTTP2FieldSource, on stream: Int, endsStream: Bool, maximumFrameSize: Int,
        with encoder: inout HPACKSectionEncoder, to writer: inout HTTP2FrameWriter
    ) {
        writer.headers(stream: stream, endsStream: endsStream, maximumFrameSize: maximumFrameSize) { buffer in
            encoder.begin(into: &buffer)
            section.encode(with: &encoder, into: &buffer)
        }
    }

    // MARK: Sending

    /// How many bytes of a body may be written on the stream now: the smaller of its window and the connection's
    /// window. 0 if we have ended the stream, or if it is not open.
    package func sendable(on stream: Int) -> Int {
        guard let index = streams.index(of: stream), streams[index].state.canSend else { return 0 }
        return sendable(at: index)
    }

    private func sendable(at index: Int) -> Int {
        max(0, min(streams[index].sendWindow.available, sendWindow.available))
    }

    /// How many bytes of bodies the peer accepts now on the whole connection.
    package var connectionSendWindow: Int { sendWindow.available }

    /// Writes a piece of a request's body in DATA frames, the end of the stream, or both.
    ///
    /// - Parameter bytes: At most ``sendable(on:)`` bytes. If it is empty, a frame is written only to end the stream,
    ///   which needs no window. Nothing is written on a stream that we have ended, or that is not open.
    package mutating func send(_ bytes: ByteBuffer, endsStream: Bool, on stream: Int) {
        guard let index = streams.index(of: stream), streams[index].state.canSend else { return }
        let count = bytes.readableBytes
        guard count > 0 || endsStream else { return }
        precondition(count <= sendable(at: index), "DATA beyond the peer's window")
        streams[index].sendWindow.sent(count)
        sendWindow.sent(count)
        writer.data(bytes, stream: stream, endsStream: endsStream, maximumFrameSize: Self.dataFrameSize)
        floods.dataSent(count)
        if endsStream { streams.localEnded(at: index) }
    }

    /// Writes a request's trailers, which end the stream. Nothing is written on a stream that we have ended, or that is
    /// not open.
    ///
    /// - Throws: ``HTTP2SectionTooLarge``, like `open`. Then nothing is written, and the stream is unchanged.
    package mutating func sendTrailers(
        _ trailers: some HTTP2FieldSource, on stream: Int
    ) throws(HTTP2SectionTooLarge) {
        guard let index = streams.index(of: stream), streams[index].state.canSend else { return }
        try checkSize(of: trailers)
        write(trailers, on: stream, endsStream: true)
        streams.localEnded(at: index)
    }

    /// Writes RST_STREAM and ends the stream for the caller. The stream keeps its place in ``occupied`` until the peer
    /// answers a PING that was sent after the reset (``pingAnswered()``). Later frames on the stream are dropped.
    /// Nothing is written for a stream that is not open.
    package mutating func reset(_ stream: Int, code: HTTP2ErrorCode) {
        guard let index = streams.index(of: stream), streams[index].state.isOpen else { return }
        streams.reset(at: index)
        floods.streamReset()
        writer.reset(stream: stream, code: code)
    }

    /// The number of reset streams that keep a place, and that were reset after the last PING.
    package var resets: Int { streams.resets }

    /// The number of reset streams that keep a place until the PING on its way is answered.
    package var awaitedResets: Int { streams.awaitedResets }

    /// Writes a PING, which covers the resets so far. The caller sends no second PING before the first is answered.
    package mutating func ping(_ value: UInt64) {
        guard phase != .failed else { return }
        writer.ping(value)
        floods.pingSent()
        streams.pingSent()
    }

    /// Frees the places that the answered PING covers. The caller recognises the PING by its number. Returns how many
    /// places are freed.
    package mutating func pingAnswered() -> Int { streams.pingAnswered() }

    /// Frees the places of all reset streams, because no more streams will be opened. Returns how many places are
    /// freed.
    package mutating func forgetResets() -> Int { streams.forgetResets() }

    // MARK: Receiving

    /// Records `count` bytes that the reader has taken or that were dropped. Writes WINDOW_UPDATE for the stream in
    /// steps of half the window.
    ///
    /// WINDOW_UPDATE for the connection is written as bytes arrive, so that a slow reader delays only its own stream.
    package mutating func consumed(_ count: Int, on stream: Int) {
        guard let index = streams.index(of: stream), streams[index].state.isOpen else { return }
        streams[index].receiveWindow.consumed(count)
        giveBack(at: index)
    }

    /// Writes the stream's WINDOW_UPDATE if it is due and no DATA frame of the stream is arriving in pieces.
    mutating func giveBack(at index: Int) {
        switch streams[index].state {
        case .open, .halfClosedLocal: break
        case .idle, .halfClosedRemote, .reset, .resetEnded, .closed: return
        }
        let stream = streams[index].id
        guard stream != arrivingDataStream else { return }
        let increment = streams[index].receiveWindow.takeIncrement()
        if increment > 0 { writer.windowUpdate(stream: stream, increment: increment) }
    }
}
