internal import Bowline
internal import BowlineTesting

/// One call of a plan: the request, and what the caller does with it.
struct SimulationCall: Sendable, Hashable {
    enum Body: Sendable, Hashable {
        case none
        /// In memory.
        case bytes
        /// A sequence that can be made again.
        case replayable(isSized: Bool)
        /// A sequence that exists once.
        case stream(isSized: Bool)
    }

    enum Reading: Sendable, Hashable {
        /// Collects the whole body.
        case whole
        /// Reads chunk by chunk, with a pause after each of the first 20.
        case slow(Duration)
        /// Reads this many chunks, then drops the response.
        case partial(Int)
        /// Drops the response without reading, after a pause.
        case dropped(Duration)
    }

    let number: Int
    /// When the caller begins.
    var start = Duration.zero
    var host = 0
    var method = HTTPRequest.Method.get
    /// Whether the request says that it may be sent twice.
    var isMarkedIdempotent = false
    var isKeyed = false
    var body = Body.none
    var bodyCount = 0
    /// The largest chunk of the request's body, and the pause before each of the first 20 chunks.
    var chunkSize = 65_536
    var chunkPause = Duration.zero
    var expectsContinue = false
    var allowsResend = true
    var answerCount = 0
    var reading = Reading.whole
    /// When the caller cancels, from the call's begin. nil: never.
    var cancelAfter: Duration?
    /// `timeouts.total` of the request. nil: that of the client.
    var total: Duration?
    /// Whether a derived client makes the call.
    var isDerived = false

    /// Whether the service may get the request more than once.
    var mayRepeat: Bool {
        isMarkedIdempotent || isKeyed || method == .get || method == .head || method == .put || method == .delete
    }

    static func drawn(_ random: inout SeededRandom, number: Int, hosts: Int, within span: Int) -> SimulationCall {
        var call = SimulationCall(number: number)
        call.start = .microseconds(random.next(in: 0..<max(1, span)))
        call.host = random.next(in: 0..<hosts)
        call.method = [.get, .get, .get, .post, .post, .put, .delete, .head].picked(&random, else: .get)
        if call.method == .post { call.isMarkedIdempotent = random.nextBool(probability: 0.2) }
        if call.method == .post, !call.isMarkedIdempotent { call.isKeyed = random.nextBool(probability: 0.2) }
        if call.method == .post || call.method == .put { call.drawBody(&random) }
        call.allowsResend = random.nextBool(probability: 0.9)
        call.answerCount = [0, 1, 200, 5_000, 70_000].picked(&random, else: 200)
        call.reading = [
            .whole, .whole, .whole, .slow(.milliseconds(random.next(in: 0..<40))), .partial(random.next(in: 0..<3)),
            .dropped(.milliseconds(random.next(in: 0..<20))),
        ].picked(&random, else: .whole)
        if random.nextBool(probability: 0.15) {
            call.cancelAfter = .microseconds(random.next(in: 0..<[100, 20_000, 2_000_000].picked(&random, else: 100)))
        }
        if random.nextBool(probability: 0.3) {
            call.total = .milliseconds([1, 30, 300, 3_000, 20_000].picked(&random, else: 3_000))
        }
        call.isDerived = random.nextBool(probability: 0.2)
        return call
    }

    private mutating func drawBody(_ random: inout SeededRandom) {
        bodyCount = [0, 1, 100, 6_000, 70_000, 200_000].picked(&random, else: 100)
        let isSized = random.nextBool()
        body = [.bytes, .bytes, .replayable(isSized: isSized), .stream(isSized: isSized)].picked(&random, else: .bytes)
        chunkSize = [1_000, 10_000, 65_536].picked(&random, else: 65_536)
        chunkPause = [.zero, .zero, .milliseconds(1), .milliseconds(30)].picked(&random, else: .zero)
        expectsContinue = random.nextBool(probability: 0.15)
    }
}
