import BowlineTransport

/// The state that a session must report: the minimum that RFC 9113 requires, in plain variables.
///
/// The walk calls one function for each thing that the client or the peer does, and compares.
struct SessionModel {
    struct Stream {
        /// What the client may still send; below zero after a lowered setting.
        var sendWindow: Int
        /// What the peer may still send, as the peer sees it.
        var receiveWindow: Int
        var canSend: Bool
        var canReceive = true
        /// Whether the final response's head has come.
        var hasHead = false
        /// Bytes that the client has received and not consumed.
        var unread = 0
    }

    /// A frame that the client writes, apart from those of windows and the first settings.
    enum Sent: Equatable {
        case headers(Int, [DrawnField], ends: Bool)
        case data(Int, [UInt8], ends: Bool)
        case reset(Int, code: Int)
        case settingsAcknowledgement
        case ping(UInt64)
        case pong(UInt64)
        case goAway(code: Int)
    }

    /// An event of the session, apart from those of windows.
    enum Seen: Equatable {
        case settings(Settings)
        case settingsAcknowledged
        case headers(Int, [DrawnField], ends: Bool)
        case data(Int, [UInt8], ends: Bool)
        case reset(Int, code: Int)
        case goAway(lastStream: Int, code: Int)
        case ping
        case pong(UInt64)
        case streamFailed(Int, code: Int)
        case connectionFailed(code: Int)
    }

    /// The peer's settings.
    struct Settings: Equatable {
        var headerTableSize = 4_096
        var maximumStreams: Int?
        var initialWindow = 65_535
        var maximumFrameSize = 16_384
        var maximumListSize: Int?
    }

    let options: HTTP2SessionOptions
    var streams: [Int: Stream] = [:]
    /// Streams that the client has reset; the peer may not know of it.
    var abandoned: [Int: Stream] = [:]
    /// Streams that ended on both sides, or that the peer reset.
    var ended: [Int] = []
    var settings = Settings()
    /// What the client may send on the connection.
    var sendWindow = 65_535
    /// What the peer may send on the connection.
    var receiveWindow = 65_535
    /// The initial window that the peer uses: the client's setting from its acknowledgement.
    var initialReceiveWindow = 65_535
    var resets = 0
    var awaitedResets = 0
    var lastOpened = 0
    /// The lowest number that a GOAWAY of the peer named.
    var lastAccepted: Int?
    var hasFailed = false
    private(set) var sent: [Sent] = []
    private(set) var seen: [Seen] = []

    init(options: HTTP2SessionOptions) {
        self.options = options
    }

    var occupied: Int { streams.count + resets + awaitedResets }
    var streamLimit: Int { min(settings.maximumStreams ?? 100, options.maximumStreams) }
    var isClosing: Bool { lastAccepted != nil || hasFailed }
    var hasRoom: Bool { !isClosing && occupied < streamLimit }

    func sendable(on stream: Int) -> Int {
        max(0, min(streams[stream]?.sendWindow ?? 0, sendWindow))
    }

    // The frames to send and the events to expect.

    mutating func willSend(_ frame: Sent) { Self.append(frame, to: &sent) }
    mutating func willSee(_ event: Seen) { Self.append(event, to: &seen) }

    mutating func takeSent() -> [Sent] {
        defer { sent = [] }
        return sent
    }

    mutating func takeSeen() -> [Seen] {
        defer { seen = [] }
        return seen
    }

    /// DATA may be cut anywhere: adjacent pieces are compared as one.
    static func append(_ frame: Sent, to list: inout [Sent]) {
        if case .data(let stream, let bytes, ends: let ends) = frame,
            case .data(stream, let before, ends: false) = list.last
        {
            list[list.count - 1] = .data(stream, before + bytes, ends: ends)
        } else {
            list.append(frame)
        }
    }

    static func append(_ event: Seen, to list: inout [Seen]) {
        if case .data(let stream, let bytes, ends: let ends) = event,
            case .data(stream, let before, ends: false) = list.last
        {
            list[list.count - 1] = .data(stream, before + bytes, ends: ends)
        } else {
            list.append(event)
        }
    }

    // What the client does.

    mutating func opened(_ fields: [DrawnField], ends: Bool) -> Int {
        lastOpened = lastOpened == 0 ? 1 : lastOpened + 2
        streams[lastOpened] = Stream(
            sendWindow: settings.initialWindow, receiveWindow: initialReceiveWindow, canSend: !ends)
        willSend(.headers(lastOpened, fields, ends: ends))
        return lastOpened
    }

    mutating func sentData(_ bytes: [UInt8], ends: Bool, on stream: Int) {
        streams[stream]?.sendWindow -= bytes.count
        sendWindow -= bytes.count
        willSend(.data(stream, bytes, ends: ends))
        if ends { closeOurSide(of: stream) }
    }

    mutating func sentTrailers(_ fields: [DrawnField], on stream: Int) {
        willSend(.headers(stream, fields, ends: true))
        closeOurSide(of: stream)
    }

    mutating func reset(_ stream: Int, code: Int) {
        abandoned[stream] = streams.removeValue(forKey: stream)
        resets += 1
        willSend(.reset(stream, code: code))
    }

    mutating func sentPing(_ value: UInt64) {
        awaitedResets += resets
        resets = 0
        willSend(.ping(value))
    }

    /// The peer has answered, so that it knows of all resets that the PING covered.
    mutating func pingAnswered() -> Int {
        defer { awaitedResets = 0 }
        return awaitedResets
    }

    private mutating func closeOurSide(of stream: Int) {
        streams[stream]?.canSend = false
        forgetIfEnded(stream)
    }

    // What the peer does.

    mutating func closePeerSide(of stream: Int) {
        streams[stream]?.canReceive = false
        forgetIfEnded(stream)
    }

    private mutating func forgetIfEnded(_ stream: Int) {
        guard let known = streams[stream], !known.canSend, !known.canReceive else { return }
        streams[stream] = nil
        ended.append(stream)
    }

    mutating func receivedReset(_ stream: Int, code: Int) {
        guard streams.removeValue(forKey: stream) != nil else { return }
        ended.append(stream)
        willSee(.reset(stream, code: code))
    }

    mutating func receivedSettings(_ changed: Settings) {
        let difference = changed.initialWindow - settings.initialWindow
        for stream in streams.keys { streams[stream]?.sendWindow += difference }
        settings = changed
        willSee(.settings(changed))
        willSend(.settingsAcknowledgement)
    }

    /// From now on the peer uses the client's settings.
    mutating func acknowledgedSettings() {
        let difference = options.streamWindow - initialReceiveWindow
        initialReceiveWindow = options.streamWindow
        for stream in streams.keys { streams[stream]?.receiveWindow += difference }
        for stream in abandoned.keys { abandoned[stream]?.receiveWindow += difference }
        willSee(.settingsAcknowledged)
    }

    mutating func receivedGoAway(lastStream: Int, code: Int) {
        let accepted = min(lastStream, lastAccepted ?? lastStream)
        lastAccepted = accepted
        for stream in streams.keys where stream > accepted { streams[stream] = nil }
        for stream in abandoned.keys where stream > accepted { abandoned[stream] = nil }
        willSee(.goAway(lastStream: accepted, code: code))
    }

    /// The peer broke a rule whose scope is a stream.
    mutating func failed(_ stream: Int, code: Int) {
        willSee(.streamFailed(stream, code: code))
        reset(stream, code: code)
    }

    mutating func failed(code: Int) {
        hasFailed = true
        willSee(.connectionFailed(code: code))
        willSend(.goAway(code: code))
    }
}
