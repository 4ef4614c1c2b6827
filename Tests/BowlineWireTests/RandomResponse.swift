/// A generator that gives the same numbers for the same seed (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Makes responses that follow the syntax exactly.
enum RandomResponse {
    static func make(using random: inout SeededRandom) -> [UInt8] {
        var text = "HTTP/1.1 \(Int.random(in: 200...203, using: &random)) \(word(0...12, using: &random))\r\n"
        for _ in 0..<Int.random(in: 0...20, using: &random) {
            let space = ["", " ", "\t ", "   "].randomElement(using: &random) ?? ""
            text += "X-\(word(1...20, using: &random)):\(space)\(words(using: &random))\(space)\r\n"
        }
        let body = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        if Bool.random(using: &random) {
            return Array((text + "Content-Length: \(body.count)\r\n\r\n").utf8) + body
        }
        var message = Array((text + "Transfer-Encoding: chunked\r\n\r\n").utf8)
        var rest = body[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...rest.count, using: &random)
            let extra = ["", ";a", ";a=b;c"].randomElement(using: &random) ?? ""
            message += Array((String(count, radix: 16) + extra + "\r\n").utf8) + rest.prefix(count) + Array("\r\n".utf8)
            rest = rest.dropFirst(count)
        }
        message += Array("0\r\n".utf8)
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            message += Array("T-\(word(1...8, using: &random)): \(words(using: &random))\r\n".utf8)
        }
        return message + Array("\r\n".utf8)
    }

    private static func word(_ counts: ClosedRange<Int>, using random: inout SeededRandom) -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.!~")
        return String(
            (0..<Int.random(in: counts, using: &random)).map { _ in letters.randomElement(using: &random) ?? "x" })
    }

    private static func words(using random: inout SeededRandom) -> String {
        (0..<Int.random(in: 0...4, using: &random)).map { _ in word(1...15, using: &random) }.joined(separator: " ")
    }
}
