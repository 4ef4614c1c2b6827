internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// The plan of one request, drawn from the run's seed and the request's number. The client and the peer draw the same
/// plan.
struct StreamsCall: Sendable, Hashable {
    /// The field with the number of a request or of a response.
    static let numberField = "x-call"
    /// The largest length of a request body, in bytes.
    private static let longestBody = 30_000
    /// The largest length of a response body, in bytes. The responses of all streams of a connection fit in the
    /// connection's first receive window, so the peer does not count that window.
    static let longestAnswer = 1_000

    let number: Int
    let method: HTTPRequest.Method
    /// How many bytes the request body has; 0: no body.
    let bodyCount: Int
    /// How many bytes the response body has.
    let answerCount: Int

    init(seed: UInt64, number: Int) {
        // Mixes the seed, so that calls with neighbouring numbers draw unrelated sequences.
        var mixed = SeededRandom(seed: seed &+ UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15)
        var random = SeededRandom(seed: mixed.next() ^ seed)
        self.number = number
        let isPost = random.nextBool()
        let isLong = random.nextBool(probability: 0.1)
        let count = random.next(in: 1..<(isLong ? Self.longestBody : 200))
        method = isPost ? .post : .get
        bodyCount = isPost ? count : 0
        answerCount = random.next(in: 1..<Self.longestAnswer)
    }

    /// The target of the request.
    var target: String { "/calls/\(number)" }

    /// The number in a target; nil if there is none.
    static func number(ofTarget target: String) -> Int? {
        target.split(separator: "/").last.flatMap { Int($0) }
    }

    /// The request's body.
    var body: ByteBuffer { Self.piece(of: number, at: 0, count: bodyCount) }

    /// The response's body.
    var answer: ByteBuffer { Self.piece(of: ~number, at: 0, count: answerCount) }

    /// A piece of a body: bytes that count up. The number decides the first byte.
    static func piece(of number: Int, at offset: Int, count: Int) -> ByteBuffer {
        let start = (number &* 37 &+ offset) & 0xFF
        return pattern.getSlice(at: start, length: min(max(0, count), longestBody)) ?? ByteBuffer()
    }

    private static let pattern = ByteBuffer(bytes: (0..<(longestBody + 256)).map { UInt8(truncatingIfNeeded: $0) })
}
