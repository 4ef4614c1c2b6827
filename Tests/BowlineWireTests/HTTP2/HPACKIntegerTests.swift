import BowlineTransport
import Testing

/// Integers of RFC 7541 §5.1.
@Suite struct HPACKIntegerTests {
    private static let largest = 0x7FFF_FFFF

    private func read(_ bytes: [UInt8], prefix: Int) throws -> (value: Int, position: Int) {
        try bytes.withUnsafeBytes { bytes -> (value: Int, position: Int) in
            var reader = HPACKReader(bytes)
            let value = try reader.integer(prefix: prefix)
            return (value, reader.position)
        }
    }

    private func written(_ value: Int, prefix: Int, pattern: UInt8) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: HPACKWriter.integerRoom)
        let count = bytes.withUnsafeMutableBytes { memory -> Int in
            guard let base = memory.baseAddress else { return 0 }
            var writer = HPACKWriter(base)
            writer.write(value, prefix: prefix, pattern: pattern)
            return writer.count
        }
        return Array(bytes.prefix(count))
    }

    @Test("C.1: the examples, both ways")
    func examples() throws {
        let examples: [(value: Int, prefix: Int, bytes: [UInt8])] = [
            (10, 5, [0x0A]), (1_337, 5, [0x1F, 0x9A, 0x0A]), (42, 8, [0x2A]),
        ]
        for example in examples {
            #expect(written(example.value, prefix: example.prefix, pattern: 0) == example.bytes)
            #expect(try read(example.bytes, prefix: example.prefix).value == example.value)
        }
    }

    @Test("Integers at every bound round-trip with every prefix and any bits before it", arguments: 1...8)
    func bounds(prefix: Int) throws {
        let mask = (1 << prefix) - 1
        var values = [0, mask - 1, mask, mask + 1, Self.largest - 1, Self.largest]
        for power in [7, 14, 21, 28] { values += [-1, 0, 1].map { mask + 1 << power + $0 } }
        for value in values {
            for front in [0, ~mask & 0xFF] {
                let expected = HPACKTestBytes.integer(value, prefix: prefix, pattern: UInt8(front))
                #expect(written(value, prefix: prefix, pattern: UInt8(front)) == expected)
                let (decoded, position) = try read(expected + [0xFF], prefix: prefix)
                #expect(decoded == value)
                #expect(position == expected.count)
            }
        }
    }

    @Test("An integer above 2³¹ − 1 is too large, with every prefix", arguments: 1...8)
    func tooLarge(prefix: Int) {
        for value in [Self.largest + 1, 1 << 32, 1 << 40, Int.max] {
            let bytes = HPACKTestBytes.integer(value, prefix: prefix)
            #expect(throws: HPACKError.integerTooLarge) { try read(bytes, prefix: prefix) }
        }
    }

    @Test("Five bytes may follow the prefix, even if they add nothing; six may not")
    func padding() throws {
        #expect(try read([0x1F, 0x80, 0x80, 0x80, 0x80, 0x00], prefix: 5).value == 31)
        #expect(throws: HPACKError.integerTooLarge) {
            try read([0x1F, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], prefix: 5)
        }
    }

    @Test("An integer that does not end is truncated", arguments: 1...5)
    func truncated(count: Int) {
        let bytes = [0x1F] + [UInt8](repeating: 0x80, count: count - 1)
        #expect(throws: HPACKError.truncated) { try read(bytes, prefix: 5) }
    }
}
