/// Draws sections whose fields repeat, some of any bytes, some larger than a table.
struct HPACKTestDrawing {
    private var known: [HPACKTestField] = []

    private static let names = [
        ":status", ":path", ":method", ":scheme", ":authority", "accept", "accept-encoding", "authorization",
        "content-length", "content-type", "cookie", "date", "etag", "set-cookie", "user-agent", "x-request-id", "x-a",
    ]
    private static let values = ["", "200", "GET", "POST", "/", "/index.html", "https", "gzip, deflate", "text/html"]

    mutating func section(using random: inout SeededRandom) -> [HPACKTestField] {
        (0..<Int.random(in: 0...16, using: &random)).map { _ in field(using: &random) }
    }

    private mutating func field(using random: inout SeededRandom) -> HPACKTestField {
        if Bool.random(using: &random), let before = known.randomElement(using: &random) { return before }
        let name =
            Int.random(in: 0..<4, using: &random) > 0
            ? Array((Self.names.randomElement(using: &random) ?? "").utf8) : Self.bytes(0...20, using: &random)
        let value =
            Bool.random(using: &random)
            ? Array((Self.values.randomElement(using: &random) ?? "").utf8) : Self.bytes(0...50, using: &random)
        let field = HPACKTestField(name, value)
        if known.count < 40 {
            known.append(field)
        } else {
            known[Int.random(in: 0..<40, using: &random)] = field
        }
        return field
    }

    private static func bytes(_ counts: ClosedRange<Int>, using random: inout SeededRandom) -> [UInt8] {
        let isLong = Int.random(in: 0..<60, using: &random) == 0
        let isText = Bool.random(using: &random)
        let count = isLong ? Int.random(in: 100...5_000, using: &random) : Int.random(in: counts, using: &random)
        return (0..<count).map { _ in UInt8.random(in: isText ? 0x20...0x7E : 0x00...0xFF, using: &random) }
    }
}
