internal import BowlineCore
package import NIOCore

/// The client's side of one HTTP/2 connection (RFC 9113) without its socket: bytes in, events and bytes out.
///
/// It knows streams by number. It keeps no request, no body and no waiter: a body's bytes are in an event or in the
/// output, and the caller asks ``sendable(on:)`` before it hands over more.
///
/// Call ``start()`` first. Then give ``receive(_:)`` what was read, take events from ``nextEvent(now:)`` until it says
/// nil, and write what ``takeOutput()`` returns. ``HTTP2StreamState`` says what becomes of a stream; the connection is
///
/// | input | open | closing | failed |
/// |---|---|---|---|
/// | `open` of a stream | opened, while `hasRoom` | a bug of ours | a bug of ours |
/// | GOAWAY | closing | closing | dropped |
/// | GOAWAY with a higher last stream than before | – | failed | – |
/// | a violation of a stream | open, the stream is reset | closing, the stream is reset | – |
/// | a violation of the connection | failed | failed | – |
/// | any other frame | open | closing | dropped |
/// | our `goAway` | open, without room | closing | nothing |
///
/// A failed session has no streams, writes nothing after its GOAWAY, and reports nothing after
/// ``Event/connectionFailed(_:)``.
///
/// The peer's settings are in force as soon as they arrive, ours once the peer has acknowledged them: until then a
/// stream's receive window is 65,535.
///
/// Memory: an unfinished frame or field section, the compression tables, one small record for each stream that is open
/// or was reset, and the output until it is taken. No input traps.
package struct HTTP2ClientSession: ~Copyable, Sendable {
    /// What `nextEvent` reports.
    package enum Event: Sendable {
        /// The peer's settings, applied and acknowledged. The first of them make the connection ready.
        case settings(HTTP2PeerSettings)
        /// Our settings are in force: the receive windows of all streams have changed (RFC 9113 §6.9.2).
        case settingsAcknowledged
        /// A field section on an open stream. Whether it is informational, final or trailers is the caller's to say.
        case headers(stream: Int, HPACKFields, endsStream: Bool)
        /// Bytes of a body, counted in both windows. Never empty, unless they end the stream.
        case data(stream: Int, ByteBuffer, endsStream: Bool)
        /// The peer has reset the stream, which is gone from the session.
        case reset(stream: Int, HTTP2ErrorCode)
        /// The peer takes no new streams. Those above `lastStream` are gone from the session. A later one never raises
        /// it.
        case goAway(lastStream: Int, HTTP2ErrorCode)
        /// The answer to a PING.
        case pong(UInt64)
        /// The peer sent a PING, which is answered.
        case ping
        /// The peer lets us send more: on the stream, or, if nil, on all. Ask ``HTTP2ClientSession/sendable(on:)``
        /// again.
        case windowOpened(stream: Int?)
        /// The peer broke a rule on a stream. RST_STREAM is written, and the stream is gone from the session.
        case streamFailed(stream: Int, HTTP2Violation)
        /// The peer broke a rule of the connection. GOAWAY is written, and all streams are gone from the session.
        case connectionFailed(HTTP2Violation)
    }

    enum Phase: Sendable, Hashable {
        case open
        /// The peer has sent GOAWAY.
        case closing(lastStream: Int)
        case failed
    }

    /// The longest DATA frame that is sent: every peer takes it (RFC 9113 §4.2).
    private static let dataFrameSize = 16_384
    /// How many streams a peer that names no limit gets (RFC 9113 §6.5.2 recommends no less).
    private static let defaultStreamLimit = 100
    /// RFC 9113 §4.1, §6.9.
    private static let windowUpdateByteCount = 13
    /// Both windows before anything is said about them (RFC 9113 §6.9.2).
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
    /// The receive window of a new stream: ours once the peer has acknowledged it.
    var streamWindowInForce = HTTP2ClientSession.initialWindow
    /// Whether our SETTINGS are on their way. There are never two.
    var awaitsAcknowledgement = false
    var phase = Phase.open
    private var hasSentGoAway = false
    /// The stream whose DATA frame is arriving in pieces; 0: none is.
    var arrivingDataStream = 0
    /// The DATA frame that is arriving has ended its stream by a violation: the pieces that follow are dropped.
    var refusesArrivingData = false
    /// A SETTINGS frame has opened the windows of all streams; the next event says so.
    var hasOpenedAllWindows = false

    /// What the peer's settings say.
    package private(set) var peer = HTTP2PeerSettings()

    /// - Parameter firstStreamID: The first stream's number; odd. Only tests begin with another than 1.
    package init(
        options: HTTP2SessionOptions, firstStreamID: Int = 1, allocator: ByteBufferAllocator = ByteBufferAllocator()
    ) {
        self.options = options
        self.allocator = allocator
        streamWindow = min(max(options.streamWindow, 1), HTTP2SendWindow.maximum)
        connectionWindow = min(max(options.connectionWindow, Self.initialWindow), HTTP2SendWindow.maximum)
        var limits = HTTP2FrameLimits()
        // A section that is not too large must arrive, however little of it is compressed.
        limits.maximumBlockBytes = max(limits.maximumBlockBytes, options.fieldLimits.maximumListSize)
        parser = HTTP2FrameParser(limits: limits)
        writer = HTTP2FrameWriter(allocator: allocator)
        // Never fewer than may lose their places at once.
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

    /// Everything to be sent since the last call, in order; nil: nothing.
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
    /// It is written when the output is taken, not before: until then the peer cannot know of it, and DATA that needs
    /// it is a violation. Within a DATA frame it is written as well: of a peer that sends without a pause, hardly any read ends
    /// with a frame. Whether that frame fits the window must not depend on where it was cut: it counts in the window before.
    private var isConnectionUpdateDue: Bool {
        receiveWindow.isIncrementDue && phase != .failed
    }

    /// Takes over bytes that were read. A failed session drops them.
    package mutating func receive(_ bytes: consuming ByteBuffer) {
        guard phase != .failed else { return }
        parser.append(bytes)
    }

    /// Whether a frame or a field section has begun and not ended: the peer must not end the transport here.
    package var isWithinFrame: Bool { parser.isWithinFrame }

    /// Tells the peer that we open no more streams (RFC 9113 §6.8).
    package mutating func goAway(code: HTTP2ErrorCode) {
        guard phase != .failed else { return }
        hasSentGoAway = true
        writer.goAway(lastStream: 0, code: code)
    }

    /// Takes over the peer's settings and acknowledges them.
    mutating func apply(_ entries: [HTTP2SettingEntry]) throws(HTTP2Violation) {
        let window = peer.initialWindowSize
        try peer.apply(entries)
        // Each of them: a table that shrinks and grows again is emptied between.
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

    /// How many streams may be open at once: what the peer allows, or 100 where it names no limit, and at most
    /// `options.maximumStreams`.
    package var streamLimit: Int {
        min(peer.maximumConcurrentStreams ?? Self.defaultStreamLimit, options.maximumStreams)
    }

    /// Streams that count against the limit: open ones, and those that we reset and of which the peer may not know.
    package var occupied: Int { streams.occupied }

    /// Streams that are open here.
    package var openCount: Int { streams.openCount }

    /// The number of the stream that was opened last; 0: none was.
    package var lastOpened: Int { streams.lastOpened }

    /// Whether there are no numbers left (RFC 9113 §5.1.1).
    package var isExhausted: Bool { streams.isExhausted }

    /// Whether the peer has ended the connection for new streams: by GOAWAY or by a violation.
    package var isClosing: Bool { phase != .open }

    /// Whether one stream more may be opened now.
    package var hasRoom: Bool { phase == .open && !hasSentGoAway && !isExhausted && occupied < streamLimit }

    /// Whether the stream is open here.
    package func isOpen(_ stream: Int) -> Bool { streams.state(of: stream).isOpen }

    /// Writes a request's HEADERS and opens its stream. The caller has asked ``hasRoom``.
    ///
    /// - Returns: The stream's number.
    /// - Throws: ``HTTP2SectionTooLarge``, if the section is larger than the peer's SETTINGS_MAX_HEADER_LIST_SIZE.
    ///   Nothing is written then, and no number is used.
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

    /// Static, so that the encoder and the writer are two variables.
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

    /// How many bytes of a body may be written on the stream now: what its window and the connection's allow. 0 if we
    /// have ended the stream, or if it is gone.
    package func sendable(on stream: Int) -> Int {
        guard let index = streams.index(of: stream), streams[index].state.canSend else { return 0 }
        return sendable(at: index)
    }

    private func sendable(at index: Int) -> Int {
        max(0, min(streams[index].sendWindow.available, sendWindow.available))
    }

    /// How many bytes of bodies the peer takes on the whole connection.
    package var connectionSendWindow: Int { sendWindow.available }

    /// Writes a piece of a request's body in DATA frames, or the end of the stream, or both.
    ///
    /// - Parameter bytes: At most ``sendable(on:)``. Without bytes, nothing is written unless this ends the stream,
    ///   which needs no window. A stream that we have ended, or that is gone, gets nothing.
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

    /// Writes a request's trailers, which end the stream. A stream that we have ended, or that is gone, gets nothing.
    ///
    /// - Throws: ``HTTP2SectionTooLarge``, as `open` does. Nothing is written then, and the stream is as it was.
    package mutating func sendTrailers(
        _ trailers: some HTTP2FieldSource, on stream: Int
    ) throws(HTTP2SectionTooLarge) {
        guard let index = streams.index(of: stream), streams[index].state.canSend else { return }
        try checkSize(of: trailers)
        write(trailers, on: stream, endsStream: true)
        streams.localEnded(at: index)
    }

    /// Writes RST_STREAM. The stream is gone for the caller, and keeps its place in ``occupied`` until a PING that was
    /// sent after it is answered (``pingAnswered()``). What still arrives for it is dropped. A stream that is gone gets
    /// nothing.
    package mutating func reset(_ stream: Int, code: HTTP2ErrorCode) {
        guard let index = streams.index(of: stream), streams[index].state.isOpen else { return }
        streams.reset(at: index)
        floods.streamReset()
        writer.reset(stream: stream, code: code)
    }

    /// Reset streams that keep a place and that no PING has been sent after.
    package var resets: Int { streams.resets }

    /// Reset streams that keep a place until the PING on its way is answered.
    package var awaitedResets: Int { streams.awaitedResets }

    /// Writes a PING, which covers the resets so far. The caller sends no second before the first is answered.
    package mutating func ping(_ value: UInt64) {
        guard phase != .failed else { return }
        writer.ping(value)
        floods.pingSent()
        streams.pingSent()
    }

    /// The PING that covers resets was answered; the caller knows by its number. Returns how many places that frees.
    package mutating func pingAnswered() -> Int { streams.pingAnswered() }

    /// No stream will be opened any more, so that resets need no places. Returns how many that frees.
    package mutating func forgetResets() -> Int { streams.forgetResets() }

    // MARK: Receiving

    /// The reader has taken so many bytes of the stream's body, or they were dropped: the stream's window is given
    /// back, in steps of half.
    ///
    /// The connection's window is given back as bytes arrive, so that a reader who is behind holds up its own stream
    /// only.
    package mutating func consumed(_ count: Int, on stream: Int) {
        guard let index = streams.index(of: stream), streams[index].state.isOpen else { return }
        streams[index].receiveWindow.consumed(count)
        giveBack(at: index)
    }

    /// Writes the WINDOW_UPDATE of a stream, if one is due and no DATA frame of the stream is arriving in pieces.
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
