internal import BowlineTesting
internal import NIOCore

/// The peer's side of one HTTP/2 connection without its socket: frames in, frames out. It misbehaves only in ways that
/// the protocol allows.
///
/// Pass each frame that arrives to ``received(_:_:)``. When no more frames are waiting, call ``endTurn()``, which
/// returns the peer's actions. After a turn with a pause, call ``pauseEnded()``.
///
/// | input | what the peer does |
/// |---|---|
/// | HEADERS | remembers the stream, or refuses it |
/// | HEADERS above the last stream of its GOAWAY | ignores the stream |
/// | the end of a request | executes it, and answers it at the end of the turn |
/// | the end of a turn | raises windows, changes settings, pauses, sends GOAWAY or cuts the connection, as the seed determines |
///
/// ``problems`` lists what the client did wrong: a stream number that does not rise, more streams than allowed, DATA
/// beyond a window, a request with the fields or the body of another request.
struct StreamsPeer: Sendable {
    /// The peer's actions in one turn.
    struct Turn: Sendable {
        /// The numbers of the executed requests. The service records them before it sends a frame.
        var executed: [Int] = []
        var frames: [HTTP2WireFrame] = []
        /// How long the peer neither reads nor writes after this turn, in milliseconds; 0: no pause.
        var pause = 0
        var end: End?
    }

    enum End: Sendable, Hashable {
        /// No stream is open, and the peer accepts no further stream.
        case finished
        case cut
    }

    private struct Stream: Sendable {
        let id: Int
        let call: StreamsCall
        var received = 0
        /// How many bytes the client may send, by the settings that it has acknowledged.
        var window: Int
        var isWhole = false
    }

    private enum GoingAway: Sendable, Hashable {
        case no
        /// The GOAWAY with the last stream 2³¹ − 1 is sent. The GOAWAY with the real last stream follows.
        case announced
        case yes(last: Int)
    }

    static let lastID = 0x7FFF_FFFF
    private static let endStream = HTTP2WireFrame.endStream
    private static let refusedStream: UInt32 = 7

    private let seed: UInt64
    private let requests: Int
    private let end: StreamsEnd
    /// The probability that the peer refuses a stream; 0 on most connections. A client leaves a connection that refuses
    /// many streams, long before its stream numbers run out.
    private let refusalChance: Double
    private var random: SeededRandom
    private var streams: [Stream] = []
    /// The latest stream that the client opened.
    private var latestID = 0
    /// The highest stream that was executed or refused. The last stream of a GOAWAY must not be lower.
    private var highestDone = 0
    /// How many bytes the client may send on all streams together.
    private var connectionWindow = 65_535
    /// The settings that the client has acknowledged.
    private var inForce = StreamsSettings()
    /// The settings that the client has not acknowledged, oldest first. Each element contains the complete settings
    /// that are in force after its acknowledgement.
    private var announced: [StreamsSettings] = []
    /// The frames that the peer sends after a pause.
    private var afterPause: [HTTP2WireFrame] = []
    private var goingAway = GoingAway.no

    private(set) var figures = StreamsFigures()
    private(set) var problems: [String] = []

    /// - Parameters:
    ///   - seed: The seed of the run.
    ///   - connection: The connection's number.
    ///   - requests: How many requests the run has; their numbers begin at 0.
    ///   - streams: How many streams the connection has before the client's stream numbers run out.
    init(seed: UInt64, connection: Int, requests: Int, streams: Int) {
        self.seed = seed
        self.requests = requests
        var mixed = SeededRandom(seed: seed ^ UInt64(truncatingIfNeeded: connection) &* 0xD1B5_4A32_D192_ED03)
        random = SeededRandom(seed: mixed.next())
        end = StreamsEnd(&random, streams: streams)
        refusalChance = random.nextBool(probability: 0.3) ? 0.01 : 0
        figures.connections = 1
    }

    /// Returns the first SETTINGS.
    mutating func begin() -> [HTTP2WireFrame] {
        let settings = StreamsSettings.drawn(&random)
        announced.append(settings)
        return [
            .settings([settings.limitEntry, settings.windowEntry])
        ]
    }

    // MARK: What comes

    /// Handles a frame that has arrived.
    ///
    /// - Parameter fields: The fields of HEADERS; empty for other frames.
    /// - Returns: The frames to send at once.
    mutating func received(_ frame: HTTP2WireFrame, _ fields: [HTTP2WireField]) -> [HTTP2WireFrame] {
        switch frame.kind {
        case .headers: return headers(frame, fields)
        case .data: data(frame)
        case .settings where frame.isAcknowledgement: acknowledged()
        case .settings: return [.settingsAcknowledgement]
        case .ping where !frame.isAcknowledgement: return [frame.pong]
        case .reset: streams.removeAll { $0.id == frame.stream }
        default: break
        }
        return []
    }

    private mutating func headers(_ frame: HTTP2WireFrame, _ fields: [HTTP2WireField]) -> [HTTP2WireFrame] {
        guard frame.stream % 2 == 1, frame.stream > latestID else {
            note("stream \(frame.stream) was opened after stream \(latestID)")
            return []
        }
        latestID = frame.stream
        if frame.stream == Self.lastID { figures.exhausted += 1 }
        if case .yes(let last) = goingAway, frame.stream > last {
            figures.ignored += 1
            return []
        }
        if streams.count >= inForce.streams {
            note("stream \(frame.stream) is one more than the \(inForce.streams) allowed")
        }
        figures.arrived += 1
        guard let call = call(of: fields) else { return refuse(frame.stream) }
        if random.nextBool(probability: refusalChance) { return refuse(frame.stream) }
        streams.append(Stream(id: frame.stream, call: call, window: inForce.window, isWhole: frame.endsStream))
        if frame.endsStream, call.bodyCount > 0 { note("request \(call.number) came without its body") }
        return []
    }

    /// Returns the request that these fields belong to; nil: they belong to no request of the run.
    private mutating func call(of fields: [HTTP2WireField]) -> StreamsCall? {
        let target = fields[":path"] ?? ""
        guard let number = StreamsCall.number(ofTarget: target), (0..<requests).contains(number) else {
            note("a request for \(target.prefix(40))")
            return nil
        }
        let call = StreamsCall(seed: seed, number: number)
        guard fields[":method"] == "\(call.method)", fields[StreamsCall.numberField] == "\(number)" else {
            note("request \(number) came with the fields of another")
            return nil
        }
        return call
    }

    private mutating func refuse(_ id: Int) -> [HTTP2WireFrame] {
        figures.refused += 1
        highestDone = max(highestDone, id)
        return [HTTP2WireFrame(.reset, on: id, ByteBuffer(integer: Self.refusedStream))]
    }

    private mutating func data(_ frame: HTTP2WireFrame) {
        let count = frame.payload.readableBytes
        connectionWindow -= count
        if connectionWindow < 0, count > 0 { note("\(-connectionWindow) bytes beyond the connection's window") }
        // The stream is not open: the peer has refused or ignored it, and the client does not know that yet.
        guard let index = streams.firstIndex(where: { $0.id == frame.stream }) else { return }
        let call = streams[index].call
        if count > streams[index].window, count > 0 {
            note("request \(call.number) sent \(count) bytes of \(streams[index].window)")
        }
        if frame.payload != StreamsCall.piece(of: call.number, at: streams[index].received, count: count) {
            note("request \(call.number) came with a body of other bytes")
        }
        streams[index].window -= count
        streams[index].received += count
        guard frame.endsStream else { return }
        streams[index].isWhole = true
        if streams[index].received != call.bodyCount {
            note("request \(call.number) has \(streams[index].received) bytes, not \(call.bodyCount)")
        }
    }

    private mutating func acknowledged() {
        guard !announced.isEmpty else {
            note("an acknowledgement of no SETTINGS")
            return
        }
        let settings = announced.removeFirst()
        // RFC 9113 §6.9.2: all windows change, and may be negative afterwards.
        for index in streams.indices { streams[index].window += settings.window - inForce.window }
        inForce = settings
    }

    private mutating func note(_ problem: String) {
        guard problems.count < 20 else { return }
        problems.append(problem)
    }

    // MARK: What the peer does

    /// Ends a turn, after all frames that have arrived were handled, and returns the peer's actions.
    mutating func endTurn() -> Turn {
        var turn = Turn()
        if case .cut(let count) = end, figures.arrived >= count {
            cut(&turn)
            return turn
        }
        goAway(&turn)
        answer(&turn)
        giveBack(&turn)
        if goingAway == .no { changeSettings(&turn) }
        if turn.pause == 0, random.nextBool(probability: 0.01) { turn.pause = random.next(in: 1..<15) }
        if turn.pause > 0 { figures.pauses += 1 }
        if case .yes = goingAway, streams.isEmpty { turn.end = .finished }
        return turn
    }

    /// Ends a pause, and returns the peer's actions.
    mutating func pauseEnded() -> Turn {
        var turn = Turn()
        turn.frames = afterPause
        afterPause = []
        if goingAway == .announced {
            sayLast(&turn)
            answer(&turn)
            if streams.isEmpty { turn.end = .finished }
        }
        return turn
    }

    /// Executes the complete requests, in a random order, and answers them.
    private mutating func answer(_ turn: inout Turn) {
        let whole = streams.filter(\.isWhole).shuffled(using: &random)
        guard !whole.isEmpty else { return }
        streams.removeAll { $0.isWhole }
        for stream in whole { execute(stream, isAnswered: true, &turn) }
    }

    private mutating func execute(_ stream: Stream, isAnswered: Bool, _ turn: inout Turn) {
        figures.executed += 1
        highestDone = max(highestDone, stream.id)
        turn.executed.append(stream.call.number)
        guard isAnswered else { return }
        let fields = [
            HTTP2WireField(":status", "200"), HTTP2WireField(StreamsCall.numberField, "\(stream.call.number)"),
        ]
        turn.frames.append(
            HTTP2WireFrame(
                .headers, flags: HTTP2WireFrame.endHeaders, on: stream.id, HTTP2WireField.section(fields)))
        turn.frames.append(HTTP2WireFrame(.data, flags: Self.endStream, on: stream.id, stream.call.answer))
    }

    /// Executes some of the complete requests, answers some of those, and ends the connection without a GOAWAY.
    private mutating func cut(_ turn: inout Turn) {
        for stream in streams where stream.isWhole {
            let (isExecuted, isAnswered) = (random.nextBool(), random.nextBool())
            if isExecuted { execute(stream, isAnswered: isAnswered, &turn) }
        }
        streams = []
        figures.cuts += 1
        turn.end = .cut
    }

    /// Sends GOAWAY if enough requests have arrived.
    private mutating func goAway(_ turn: inout Turn) {
        guard goingAway == .no, case .goAway(let count, let isAnnounced) = end, figures.arrived >= count else { return }
        figures.goAways += 1
        guard isAnnounced else {
            sayLast(&turn)
            return
        }
        goingAway = .announced
        turn.frames.append(.goAway(last: UInt32(Self.lastID)))
        turn.pause = random.next(in: 1..<15)
    }

    /// Sends the GOAWAY with the real last stream: the latest stream, or a random earlier one. It is never below an
    /// executed or refused stream.
    private mutating func sayLast(_ turn: inout Turn) {
        let refusable = streams.indices.filter { streams[$0].id > highestDone }
        var last = latestID
        if !refusable.isEmpty, random.nextBool(probability: 0.7) {
            // The peer drops this stream and the streams above it.
            let first = refusable[random.next(in: 0..<refusable.count)]
            last = max(highestDone, first > 0 ? streams[first - 1].id : 0)
            figures.ignored += streams.count - first
            streams.removeSubrange(first...)
        }
        goingAway = .yes(last: last)
        turn.frames.append(.goAway(last: UInt32(clamping: last)))
    }

    /// Raises windows: always a window that is used up, sometimes a small one.
    private mutating func giveBack(_ turn: inout Turn) {
        for index in streams.indices where !streams[index].isWhole {
            let increment = increment(for: streams[index].window, low: 4_000, most: 20_000)
            guard increment > 0 else { continue }
            streams[index].window += increment
            turn.frames.append(.windowUpdate(on: streams[index].id, by: UInt32(clamping: increment)))
        }
        let increment = increment(for: connectionWindow, low: 30_000, most: 60_000)
        guard increment > 0 else { return }
        connectionWindow += increment
        turn.frames.append(.windowUpdate(on: 0, by: UInt32(clamping: increment)))
    }

    private mutating func increment(for window: Int, low: Int, most: Int) -> Int {
        guard window <= 0 || window < low && random.nextBool(probability: 0.25) else { return 0 }
        return max(0, -window) + random.next(in: 1..<most)
    }

    /// Changes one setting in some turns.
    private mutating func changeSettings(_ turn: inout Turn) {
        guard announced.isEmpty, random.nextBool(probability: 0.02) else { return }
        var settings = inForce
        if random.nextBool() {
            settings.window = StreamsSettings.window(&random)
            if !streams.isEmpty { figures.windowChanges += 1 }
            turn.frames.append(.settings([settings.windowEntry]))
            announced.append(settings)
            return
        }
        figures.limitChanges += 1
        settings.streams = StreamsSettings.limit(&random)
        if random.nextBool(probability: 0.3) {
            // No stream is allowed during the pause. The second SETTINGS comes at the end of the pause and not in a later
            // turn: while no stream is allowed, perhaps no frame arrives, and then no turn ends.
            var none = settings
            none.streams = 0
            announced.append(none)
            turn.frames.append(.settings([none.limitEntry]))
            turn.pause = random.next(in: 1..<15)
            afterPause = [.settings([settings.limitEntry])]
        } else {
            turn.frames.append(.settings([settings.limitEntry]))
        }
        announced.append(settings)
    }
}
