import BowlineTransport
import NIOCore

/// One field as the tests draw it: any bytes, and whether it must stay out of every table.
struct DrawnField: Hashable, Sendable, CustomStringConvertible {
    var name: [UInt8]
    var value: [UInt8]
    var isSecret = false

    init(name: [UInt8], value: [UInt8], isSecret: Bool = false) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
    }

    init(_ name: String, _ value: String) {
        self.init(name: Array(name.utf8), value: Array(value.utf8))
    }

    var nameText: String { String(decoding: name, as: UTF8.self) }
    var valueText: String { String(decoding: value, as: UTF8.self) }
    /// RFC 9113 §6.5.2.
    var listSize: Int { name.count + value.count + 32 }
    var description: String { "\(nameText.debugDescription): \(valueText.debugDescription)" }

    /// Whether name and value are the same; a decoder does not say how a field was compressed.
    func isSame(as other: DrawnField) -> Bool { name == other.name && value == other.value }
}

/// A field section that a session writes.
struct DrawnSection: HTTP2FieldSource, Sendable {
    var fields: [DrawnField]

    var listSize: Int { fields.reduce(0) { $0 + $1.listSize } }

    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer) {
        for field in fields {
            field.name.withUnsafeBytes { name in
                field.value.withUnsafeBytes { value in
                    encoder.encode(
                        name: name, value: value, indexing: field.isSecret ? .never : .automatic, into: &buffer)
                }
            }
        }
    }
}

extension HPACKSectionEncoder {
    /// The whole section, its size updates included.
    mutating func block(of fields: [DrawnField]) -> ByteBuffer {
        var buffer = ByteBuffer()
        begin(into: &buffer)
        DrawnSection(fields: fields).encode(with: &self, into: &buffer)
        return buffer
    }
}

extension HPACKFields {
    /// The fields as bytes.
    var drawn: [DrawnField] {
        spans.indices.map { index in
            DrawnField(
                name: withBytes(ofNameAt: index) { Array($0) }, value: withBytes(ofValueAt: index) { Array($0) })
        }
    }
}

extension HPACKLimits {
    /// Limits that no test reaches.
    static var unlimited: HPACKLimits {
        var limits = HPACKLimits()
        limits.maximumListSize = 1 << 30
        limits.maximumFields = 1 << 20
        return limits
    }
}

/// Draws field sections: names and values that repeat and that do not, short and longer than a table.
struct FieldDrawing {
    /// What the bytes of a value may be.
    enum Alphabet: Sendable {
        /// Unicode text: what an implementation that keeps `String`s gives back unharmed.
        case text
        /// Every byte there is.
        case bytes
    }

    let alphabet: Alphabet
    /// Values that were drawn before, so that a section repeats those of earlier ones.
    private var known: [DrawnField] = []

    init(_ alphabet: Alphabet) {
        self.alphabet = alphabet
    }

    private static let names = [
        ":status", ":path", ":method", ":scheme", ":authority", "accept", "accept-encoding", "age", "authorization",
        "cache-control", "content-length", "content-type", "cookie", "date", "etag", "location", "server", "set-cookie",
        "user-agent", "vary", "www-authenticate", "x-a", "x-request-id", "x-b-c",
    ]
    private static let values = [
        "", "200", "404", "GET", "/", "/index.html", "https", "gzip, deflate", "text/html", "no-cache", "0", "12345",
        "Sat, 28 Nov 2026 09:00:00 GMT", "a", "private, max-age=0",
    ]

    mutating func section(_ counts: ClosedRange<Int> = 0...20, using random: inout SeededRandom) -> [DrawnField] {
        (0..<Int.random(in: counts, using: &random)).map { _ in field(using: &random) }
    }

    private mutating func field(using random: inout SeededRandom) -> DrawnField {
        if let before = known.randomElement(using: &random), Int.random(in: 0..<3, using: &random) == 0 {
            return before
        }
        let name: [UInt8]
        if Int.random(in: 0..<4, using: &random) > 0 {
            name = Array((Self.names.randomElement(using: &random) ?? "x").utf8)
        } else {
            name = (0..<length(1...40, using: &random)).map { _ in UInt8.random(in: 0x61...0x7A, using: &random) }
        }
        let value: [UInt8]
        if Bool.random(using: &random) {
            value = Array((Self.values.randomElement(using: &random) ?? "").utf8)
        } else {
            value = drawnValue(using: &random)
        }
        let isSecret = Int.random(in: 0..<8, using: &random) == 0
        let field = DrawnField(name: name, value: value, isSecret: isSecret)
        if known.count < 64 { known.append(field) } else { known[Int.random(in: 0..<64, using: &random)] = field }
        return field
    }

    private func drawnValue(using random: inout SeededRandom) -> [UInt8] {
        let count = length(0...60, using: &random)
        switch alphabet {
        case .bytes: return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        case .text:
            let isPlain = Int.random(in: 0..<4, using: &random) > 0
            var text = String.UnicodeScalarView()
            for _ in 0..<count {
                let number = UInt32.random(in: isPlain ? 0x20...0x7E : 0x20...0xD7FF, using: &random)
                text.append(Unicode.Scalar(number) ?? " ")
            }
            return Array(String(text).utf8)
        }
    }

    /// Mostly a length of the range; sometimes one around the borders of integers and of tables.
    private func length(_ usual: ClosedRange<Int>, using random: inout SeededRandom) -> Int {
        switch Int.random(in: 0..<40, using: &random) {
        case 0: [126, 127, 128, 129, 254, 255, 256].randomElement(using: &random) ?? 127
        case 1: Int.random(in: 1...5_000, using: &random)
        default: Int.random(in: usual, using: &random)
        }
    }
}

extension SeededRandom {
    /// A table's size: the borders that matter, and any between them up to 64 KiB.
    mutating func tableSize() -> Int {
        if Bool.random(using: &self) {
            return [0, 1, 31, 32, 33, 64, 100, 4_095, 4_096, 4_097, 65_535, 65_536].randomElement(using: &self) ?? 0
        }
        return Int.random(in: 0...65_536, using: &self)
    }
}

/// Compares sections field by field; nil if they are the same.
func differenceBetween(_ ours: [DrawnField], _ theirs: [DrawnField]) -> String? {
    guard ours.count == theirs.count else { return "\(ours.count) fields, must be \(theirs.count)" }
    for (index, pair) in zip(ours, theirs).enumerated() where !pair.0.isSame(as: pair.1) {
        return "field \(index): \(pair.0), must be \(pair.1)"
    }
    return nil
}
