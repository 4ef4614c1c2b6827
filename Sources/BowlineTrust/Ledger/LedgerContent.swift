internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// A field in the form used for comparisons: the name is in lower case.
struct LedgerField: Sendable, Hashable, CustomStringConvertible {
    let name: String
    let value: String

    init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// The name and the beginning of the value.
    var description: String { "\(name): \(value.prefix(48))\(value.count > 48 ? "…" : "")" }
}

/// Makes the bodies and the fields of requests and answers from a request's id, so that both sides know the expected
/// content.
enum LedgerContent {
    /// The message that a body belongs to. A request and its answer have the same id but different bytes.
    enum Part: UInt64, Sendable {
        case request = 0x51ED_270B_9F3A_6C01
        case answer = 0xA24B_AED4_963E_E407
    }

    static let idField = "x-ledger-id"
    static let executedField = "x-ledger-executed"
    static let episodeField = "x-ledger-episode"
    /// How many large fields an answer has.
    static let largeCountField = "x-ledger-large-fields"
    private static let largePrefix = "x-large-"

    /// The form of an id in targets and fields: 16 hexadecimal digits.
    static func text(of id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Parses the form that ``text(of:)`` returns; nil: the text has another form.
    static func id(_ text: some StringProtocol) -> UInt64? {
        text.utf8.count == 16 ? UInt64(text, radix: 16) : nil
    }

    /// The body of `count` bytes.
    static func body(of id: UInt64, _ part: Part, count: Int) -> ByteBuffer {
        var random = SeededRandom(seed: id ^ part.rawValue)
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count)
        for _ in 0..<(count / 8) { buffer.writeInteger(random.next()) }
        var rest = random.next()
        for _ in 0..<(count % 8) {
            buffer.writeInteger(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
        return buffer
    }

    /// The body of an answer to a request that was not executed.
    static func rejection(of id: UInt64) -> ByteBuffer {
        ByteBuffer(string: "rejected \(text(of: id))")
    }

    /// The fields of a request: names and values derive from its id; some are long, repeated, empty or not ASCII.
    ///
    /// All fields together are smaller than 12 KiB.
    static func fields(of id: UInt64) -> HTTPFields {
        var random = SeededRandom(seed: id ^ 0x0F1E_1D50_0F1E_1D50)
        let text = Self.text(of: id)
        var fields = HTTPFields()
        func add(_ name: String, _ value: String) {
            guard let name = HTTPField.Name(name) else { return }
            fields.append(HTTPField(name: name, value: value))
        }
        add("X-Ledger-Id", text)
        for index in 0..<random.next(in: 1..<6) {
            add("x-ledger-\(text.suffix(6))-\(index)", value(text, &random))
        }
        for index in 0..<random.next(in: 0..<4) { add("X-Ledger-Many", "\(text)-\(index)") }
        if random.nextBool(probability: 0.05) {
            let count = random.next(in: 1024..<8192)
            add("x-ledger-large", text + String(repeating: "l", count: count))
        }
        if random.nextBool(probability: 0.3) { add("Accept", "application/x-\(text)") }
        return fields
    }

    /// All fields of a request, the large ones included. Over HTTP/2 they may need several frames.
    static func fields(of plan: LedgerRequestPlan) -> HTTPFields {
        var random = SeededRandom(seed: plan.id ^ 0x6C61_7267_6531_5F32)
        let text = Self.text(of: plan.id)
        var fields = Self.fields(of: plan.id)
        var left = plan.largeFieldBytes
        var number = 0
        while left > 0, let name = HTTPField.Name("x-ledger-large-\(text.suffix(6))-\(number)") {
            let size = min(left, random.next(in: 200..<20_000))
            let part = "\(text)-\(number)/"
            let value = String(repeating: part, count: size / part.utf8.count + 1).prefix(size)
            fields.append(HTTPField(name: name, value: String(value)))
            left -= size
            number += 1
        }
        return fields
    }

    /// A value without spaces at its ends, because a field's value does not include them.
    private static func value(_ text: String, _ random: inout SeededRandom) -> String {
        switch random.next(in: 0..<6) {
        case 0: ""
        case 1: "Zürich-\(text)-€-\u{1F600}"
        case 2: "\(text) with spaces,\tand; \"quotes\""
        case 3: String(repeating: "\(text)/", count: random.next(in: 1..<20))
        default: text
        }
    }

    /// The trailer fields of a request with trailers.
    static func trailers(of id: UInt64) -> HTTPFields {
        var trailers = HTTPFields()
        if let name = HTTPField.Name("x-ledger-sum") {
            trailers.append(HTTPField(name: name, value: "sum-\(text(of: id))"))
        }
        return trailers
    }

    /// The large field with this number in an answer. Name and value have 1,000 bytes together.
    static func largeField(_ number: Int) -> LedgerField {
        let name = "\(largePrefix)\(number)"
        return LedgerField(name, String(repeating: "v", count: 1000 - name.utf8.count))
    }

    /// Whether an answer has the number of large fields that it announces, each with all its bytes.
    static func hasItsLargeFields(_ fields: HTTPFields) -> Bool {
        let all = comparable(fields)
        let count = all.first { $0.name == largeCountField }.map { Int($0.value) ?? -1 } ?? 0
        return count >= 0 && all.filter { $0.name.hasPrefix(largePrefix) } == (0..<count).map(largeField)
    }

    /// Converts fields to the form used for comparisons.
    static func comparable(_ fields: HTTPFields) -> [LedgerField] {
        fields.map { LedgerField($0.name.canonicalName, $0.value) }
    }
}
