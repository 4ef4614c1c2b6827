internal import Bowline
internal import BowlineTesting

/// How a server treats a call.
enum ChurnBehaviour: String, Sendable, CaseIterable {
    /// A short response.
    case answer
    /// A response in chunks, with trailers.
    case chunked
    /// A response of 256 KiB.
    case large
    /// A short response with `Connection: close`. Over HTTP/2, where that field does not exist, a plain short response.
    /// Some HTTP/2 servers send GOAWAY after 20 requests instead.
    case close
    /// A short response with `Keep-Alive: timeout=2`; the server closes the connection one second later.
    case keepAliveShort
    /// A short response; the server closes the connection at once, without announcing it.
    case hangUp
    /// No answer: the server resets the connection, or over HTTP/2 the stream.
    case reset
    /// Half of a response; then the server closes the connection.
    case cut
    /// A short response after 20 to 200 ms.
    case slow
    /// A response in pieces.
    case trickle
    /// No answer.
    case stall
    /// 503.
    case unavailable

    /// How often the behaviour is drawn, in percent.
    fileprivate var weight: Int {
        switch self {
        case .answer: 44
        case .chunked: 10
        case .large: 5
        case .close: 6
        case .keepAliveShort: 6
        case .hangUp: 5
        case .reset: 4
        case .cut: 4
        case .slow: 8
        case .trickle: 4
        case .stall: 1
        case .unavailable: 3
        }
    }
}

/// How a caller reads a response.
enum ChurnReading: Sendable, CaseIterable {
    case whole
    /// Reads the first chunk, then drops the response.
    case beginning
    case discard
    /// Drops the response without reading it.
    case drop
}

/// The plan of one call, drawn from the run's seed and the call's number. The caller and the server draw the same plan.
struct ChurnCall: Sendable, Hashable {
    let number: Int
    let origin: Int
    let method: HTTPRequest.Method
    /// How many bytes the request body has; 0: no body.
    let bodyBytes: Int
    let behaviour: ChurnBehaviour
    let reading: ChurnReading
    /// When the caller cancels the call, counted from its start; nil: never.
    let cancelledAfter: Duration?
    /// How long the caller waits before the call.
    let pause: Duration
    /// How long a slow server waits before it answers.
    let slowness: Duration

    init(seed: UInt64, number: Int, origins: Int) {
        // Mixes the seed, so that calls with neighbouring numbers draw unrelated sequences.
        var mixed = SeededRandom(seed: seed &+ UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15)
        var random = SeededRandom(seed: mixed.next() ^ seed)
        self.number = number
        origin = random.next(in: 0..<max(1, origins))
        let draw = random.next(in: 0..<100)
        method = draw < 70 ? .get : draw < 90 ? .post : .put
        bodyBytes = method == .get ? 0 : random.next(in: 1..<32_768)
        behaviour = Self.behaviour(random.next(in: 0..<100))
        let reading = random.next(in: 0..<100)
        self.reading = reading < 70 ? .whole : reading < 80 ? .beginning : reading < 90 ? .discard : .drop
        let isCancelled = random.nextBool(probability: 0.25)
        // Most calls take about a millisecond: half of the cancellations fall within the first 2 ms.
        let moment = random.nextBool() ? random.next(in: 0..<2000) : random.next(in: 0..<60_000)
        cancelledAfter = isCancelled ? .microseconds(moment) : nil
        pause = .microseconds(random.next(in: 0..<40_000))
        slowness = .milliseconds(random.next(in: 20..<200))
    }

    private static func behaviour(_ draw: Int) -> ChurnBehaviour {
        var rest = draw
        for behaviour in ChurnBehaviour.allCases {
            rest -= behaviour.weight
            if rest < 0 { return behaviour }
        }
        return .answer
    }

    /// The target; it contains the number, so that the server recognises the call.
    var target: String { "churn?call=\(number)" }

    /// The call's number in a target; nil if there is none.
    static func number(of target: String) -> Int? {
        target.split(separator: "=").last.flatMap { Int($0) }
    }

    /// The server's reply to the call.
    ///
    /// - Parameter isHTTP2: Whether it answers over HTTP/2.
    func reply(isHTTP2: Bool) -> ScriptedReply {
        let short = ScriptedResponse(200, body: "call \(number)")
        switch behaviour {
        case .answer: return .reply(short)
        case .chunked:
            return .reply(
                200, body: String(repeating: "c", count: 5000), framing: .chunks(of: 1000),
                trailers: [.churnCheck: "\(number)"])
        case .large: return .reply(200, body: Self.large)
        case .close: return .reply(200, fields: [.connection: "close"], body: "call \(number)")
        case .keepAliveShort:
            return .reply(200, fields: [.churnKeepAlive: "timeout=2"], body: "call \(number)")
                .thenClose(after: .seconds(1))
        case .hangUp: return .reply(short).thenClose()
        case .reset: return isHTTP2 ? .resetStream() : .reset
        case .cut: return .cut(after: 200, of: ScriptedResponse(200, body: String(repeating: "x", count: 400)))
        case .slow: return .reply(short).delayed(by: slowness)
        case .trickle:
            return .trickle(
                ScriptedResponse(200, body: String(repeating: "t", count: 2000)), size: 500, every: .milliseconds(5))
        case .stall: return .stall
        case .unavailable: return .reply(503, body: "later")
        }
    }

    private static let large = ByteBuffer(repeating: 0x6C, count: 262_144)
}

extension HTTPField.Name {
    fileprivate static let churnCheck = HTTPField.Name("X-Churn-Check")!
    fileprivate static let churnKeepAlive = HTTPField.Name("Keep-Alive")!
}
