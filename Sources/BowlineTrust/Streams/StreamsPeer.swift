internal import BowlineTesting
internal import NIOCore

/// The peer's side of one HTTP/2 connection without its socket: frames in, frames out. It misbehaves only as a peer may.
///
/// Give it what came with ``received(_:_:)``, and take what it does with ``endTurn()`` once all that has come is there. A turn that
/// pauses is followed by ``pauseEnded()``.
///
/// | what comes | what the peer does |
/// |---|---|
/// | HEADERS | remembers the stream, or refuses it |
/// | HEADERS above the last stream of its GOAWAY | nothing |
/// | a request's end | executes it, and answers it at the end of the turn |
/// | the end of a turn | gives windows back, changes settings, pauses, goes away or cuts, as drawn |
///
/// What the client must not do is in ``problems``: a stream number that does not rise, more streams than are allowed, DATA beyond
/// a window, a request with the fields or the body of another.
struct StreamsPeer: Sendable {
    /// What one turn comes to.
    struct Turn: Sendable {
        /// The numbers of the requests that are executed. They go on record before anything is sent.
        var executed: [Int] = []
        var frames: [HTTP2WireFrame] = []
        /// For how many milliseconds the peer neither reads nor writes after that; 0: it goes on.
        var pause = 0
        var end: End?
    }

    enum End: Sendable, Hashable {
        /// No stream is open, and none will be.
        case finished
        case cut
    }

    private struct Stream: Sendable {
        let id: Int
        let call: StreamsCall
        var received = 0
        /// How many bytes the client may send, by what it has acknowledged.
        var window: Int
        var isWhole = false
    }

    private enum GoingAway: Sendable, Hashable {
        case no
        /// The last stream is still to be said.
        case announced
        case yes(last: Int)
    }

    static let lastID = 0x7FFF_FFFF
    private static let endStream = HTTP2WireFrame.endStream
    private static let refusedStream: UInt32 = 7

    private let seed: UInt64
    private let requests: Int
    private let end: StreamsEnd
    /// How likely it is that a stream is refused. Most connections refuse none: a client leaves a connection that refuses time after
    /// time, long before its numbers run out.
    private let refusalChance: Double
    private var random: SeededRandom
    private var streams: [Stream] = []
    /// The stream that came last.
    private var latestID = 0
    /// The highest stream that was executed or refused: a GOAWAY must not say less.
    private var highestDone = 0
    /// What the client may send on all streams together.
    private var connectionWindow = 65_535
    /// What the client has acknowledged.
    private var inForce = StreamsSettings()
    /// What it has not, oldest first. Each is what is in force afterwards.
    private var announced: [StreamsSettings] = []
    /// What a pause ends with.
    private var afterPause: [HTTP2WireFrame] = []
    private var goingAway = GoingAway.no

    private(set) var figures = StreamsFigures()
    private(set) var problems: [String] = []

    /// - Parameters:
    ///   - seed: The run's.
    ///   - connection: The connection's number.
    ///   - requests: How many there are: theirs are the numbers from 0.
    ///   - streams: How many streams the connection has before the client's numbers run out.
    init(seed: UInt64, connection: Int, requests: Int, streams: Int) {
        self.seed = seed
        self.requests = requests
        var mixed = SeededRandom(seed: seed ^ UInt64(truncatingIfNeeded: connection) &* 0xD1B5_4A32_D192_ED03)
        random = SeededRandom(seed: mixed.next())
        end = StreamsEnd(&random, streams: streams)
        refusalChance = random.nextBool(probability: 0.3) ? 0.01 : 0
        figures.connections = 1
    }

    /// The first SETTINGS.
    mutating func begin() -> [HTTP2WireFrame] {
        let settings = StreamsSettings.drawn(&random)
        announced.append(settings)
        return [
            .settings([settings.limitEntry, settings.windowEntry])
        ]
    }

    // MARK: What comes

    /// A frame has come.
    ///
    /// - Parameter fields: Those of HEADERS.
    /// - Returns: What is answered at once.
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

    /// The request whose fields these are; nil: of none.
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
        // A stream that was refused or is ignored: the client does not know yet.
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

    /// All that has come is there.
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

    /// A pause is over.
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

    /// Executes what is whole, in an order that is drawn, and answers it.
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

    /// Executes some of what is whole, answers some of that, and ends the connection without a word.
    private mutating func cut(_ turn: inout Turn) {
        for stream in streams where stream.isWhole {
            let (isExecuted, isAnswered) = (random.nextBool(), random.nextBool())
            if isExecuted { execute(stream, isAnswered: isAnswered, &turn) }
        }
        streams = []
        figures.cuts += 1
        turn.end = .cut
    }

    /// Goes away if it is time to.
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

    /// Says which stream was the last: one that is drawn of those that are above everything executed.
    private mutating func sayLast(_ turn: inout Turn) {
        let refusable = streams.indices.filter { streams[$0].id > highestDone }
        var last = latestID
        if !refusable.isEmpty, random.nextBool(probability: 0.7) {
            // That one and those above it are dropped.
            let first = refusable[random.next(in: 0..<refusable.count)]
            last = max(highestDone, first > 0 ? streams[first - 1].id : 0)
            figures.ignored += streams.count - first
            streams.removeSubrange(first...)
        }
        goingAway = .yes(last: last)
        turn.frames.append(.goAway(last: UInt32(clamping: last)))
    }

    /// Gives windows back: always where nothing is left of one, and sometimes where little is.
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

    /// Changes a setting, at times.
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
            // No stream at all, for as long as the pause: nothing comes that would end a turn.
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
