internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// One request, drawn from the run's seed and its number: the client and the peer draw the same.
struct StreamsCall: Sendable, Hashable {
    /// The field that says the number of a request, and of a response.
    static let numberField = "x-call"
    /// The longest body of a request.
    private static let longestBody = 30_000
    /// The longest body of a response. So many of them as a connection has streams fit in the window that the client gives at
    /// first, so that the peer need not count it.
    static let longestAnswer = 1_000

    let number: Int
    let method: HTTPRequest.Method
    /// How many bytes its body has; 0: it has none.
    let bodyCount: Int
    /// How many bytes the body of its response has.
    let answerCount: Int

    init(seed: UInt64, number: Int) {
        // Two calls' sequences have nothing in common, though their numbers are neighbours.
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

    /// Its target.
    var target: String { "/calls/\(number)" }

    /// The number in a target; nil if there is none.
    static func number(ofTarget target: String) -> Int? {
        target.split(separator: "/").last.flatMap { Int($0) }
    }

    /// The request's body.
    var body: ByteBuffer { Self.piece(of: number, at: 0, count: bodyCount) }

    /// The response's body.
    var answer: ByteBuffer { Self.piece(of: ~number, at: 0, count: answerCount) }

    /// A piece of a body: bytes that count up, from one that the number decides.
    static func piece(of number: Int, at offset: Int, count: Int) -> ByteBuffer {
        let start = (number &* 37 &+ offset) & 0xFF
        return pattern.getSlice(at: start, length: min(max(0, count), longestBody)) ?? ByteBuffer()
    }

    private static let pattern = ByteBuffer(bytes: (0..<(longestBody + 256)).map { UInt8(truncatingIfNeeded: $0) })
}
