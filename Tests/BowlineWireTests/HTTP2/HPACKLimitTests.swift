import BowlineTransport
import NIOCore
import Testing

/// What the decoder stores, and what it takes in memory, when a section is larger than the limits.
@Suite struct HPACKLimitTests {
    private static func limits(listSize: Int = 81_920, fields: Int = 512) -> HPACKLimits {
        var limits = HPACKLimits()
        limits.maximumListSize = listSize
        limits.maximumFields = fields
        return limits
    }

    @Test("The limits are inclusive: one byte or one field more is too large")
    func inclusive() throws {
        let fields = [HPACKTestField("a", "1"), HPACKTestField("bb", "22"), HPACKTestField(":method", "GET")]
        let size = fields.reduce(0) { $0 + $1.size }
        var encoder = HPACKSectionEncoder()
        let bytes = encoder.section(fields)
        let exact = [(size, 3), (size, 512), (81_920, 3)]
        for (listSize, count) in exact {
            var decoder = HPACKSectionDecoder()
            let decoded = try decoder.section(bytes, limits: Self.limits(listSize: listSize, fields: count))
            #expect(decoded.testFields == fields)
            #expect(!decoded.isTooLarge)
            #expect(decoded.listSize == size)
        }
        for (listSize, count) in [(size - 1, 512), (81_920, 2)] {
            var decoder = HPACKSectionDecoder()
            let decoded = try decoder.section(bytes, limits: Self.limits(listSize: listSize, fields: count))
            #expect(decoded.testFields == Array(fields.prefix(2)))
            #expect(decoded.isTooLarge)
            #expect(decoded.listSize == size)
        }
    }

    @Test("The actual length of a Huffman string counts, not its maximum")
    func huffmanLength() throws {
        // Symbols of 28 bits: far fewer bytes than codes of five bits would be.
        let value = [UInt8](repeating: 2, count: 100)
        let encoded = HPACKTestHuffman.encoded(value)
        let bytes: [UInt8] = [0x04] + HPACKTestBytes.integer(encoded.count, prefix: 7, pattern: 0x80) + encoded
        var decoder = HPACKSectionDecoder()
        let fitting = try decoder.section(bytes, limits: Self.limits(listSize: 137))
        #expect(fitting.testFields == [HPACKTestField(Array(":path".utf8), value)])
        #expect(!fitting.isTooLarge)
        let large = try decoder.section(bytes, limits: Self.limits(listSize: 136))
        #expect(large.spans.isEmpty)
        #expect(large.isTooLarge)
        #expect(large.listSize == 137)
    }

    @Test("After the first field beyond the limits no field is stored, however small")
    func prefixOnly() throws {
        let large = HPACKTestField("large", String(repeating: "v", count: 200))
        let bytes = [UInt8](
            [HPACKTestField("a", "1"), large, HPACKTestField("b", "2")].flatMap { HPACKTestBytes.inserted($0) })
        var decoder = HPACKSectionDecoder()
        let fields = try decoder.section(bytes, limits: Self.limits(listSize: 150))
        #expect(fields.testFields == [HPACKTestField("a", "1")])
        #expect(fields.bytes.readableBytes == 2)
        #expect(fields.isTooLarge)
        #expect(fields.listSize == 34 + large.size + 34)
        #expect(decoder.testTable == [HPACKTestField("b", "2"), large, HPACKTestField("a", "1")])
    }

    @Test("A decoder with limits has the same table as a decoder without, section after section")
    func tableStaysRight() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKLimitTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<40 {
            var drawing = HPACKTestDrawing()
            var encoder = HPACKSectionEncoder()
            var free = HPACKSectionDecoder()
            var limited = HPACKSectionDecoder()
            for section in 0..<40 {
                let place = "seed \(seed), connection \(connection), section \(section)"
                let fields = drawing.section(using: &random)
                let bytes = encoder.section(fields, .always)
                let limits = Self.limits(
                    listSize: Int.random(in: 0...1_000, using: &random), fields: Int.random(in: 0...12, using: &random))
                let all = try free.section(bytes, limits: Self.limits(listSize: .max, fields: .max))
                let some = try limited.section(bytes, limits: limits)
                try #require(all.testFields == fields, "\(place)")
                let stored = some.testFields
                try #require(stored == Array(fields.prefix(stored.count)), "\(place)")
                try #require(some.listSize == all.listSize, "\(place)")
                let isWithin = all.listSize <= limits.maximumListSize && fields.count <= limits.maximumFields
                try #require(some.isTooLarge == !isWithin, "\(place)")
                try #require(limited.testTable == free.testTable, "\(place)")
                try #require(limited.tableBytes == free.tableBytes, "\(place)")
            }
        }
    }

    @Test("A section of references to a large entry takes no more memory than the limit", .tags(.H2p))
    func indexedBomb() throws {
        let entry = HPACKTestField("name", String(repeating: "v", count: 4_000))
        var decoder = HPACKSectionDecoder()
        _ = try decoder.section(HPACKTestBytes.inserted(entry))
        let count = 200_000
        let fields = try decoder.section([UInt8](repeating: 0xBE, count: count))
        #expect(fields.isTooLarge)
        #expect(fields.listSize == count * entry.size)
        #expect(fields.spans.count == 81_920 / entry.size)
        #expect(fields.bytes.readableBytes == fields.spans.count * 4_004)
        // The next power of two.
        #expect(fields.bytes.storageCapacity <= 131_072)
        #expect(fields.spans.capacity <= 64)
        #expect(decoder.testTable == [entry])
    }

    @Test("A section of the smallest fields takes no more spans than the limit")
    func manyFields() throws {
        var decoder = HPACKSectionDecoder()
        let fields = try decoder.section([UInt8](repeating: 0x82, count: 200_000))
        #expect(fields.isTooLarge)
        #expect(fields.spans.count == 512)
        #expect(fields.spans.capacity <= 1_024)
        #expect(fields.bytes.readableBytes == 512 * 10)
        #expect(fields.listSize == 200_000 * 42)
    }

    @Test("A literal far beyond the limits is not stored, and empties the table", arguments: [false, true])
    func literalBomb(isHuffman: Bool) throws {
        var decoder = HPACKSectionDecoder()
        _ = try decoder.section(HPACKTestBytes.inserted(HPACKTestField("a", "1")))
        #expect(decoder.tableCount == 1)
        // `00000` and `11111…`: 5 bytes are 8 times the symbol `0`, of five bits each.
        let count = 200_000
        let value = [UInt8](repeating: 0x00, count: count)
        let length = HPACKTestBytes.integer(count, prefix: 7, pattern: isHuffman ? 0x80 : 0)
        let fields = try decoder.section([0x40, 0x01, 0x62] + length + value)
        #expect(fields.isTooLarge)
        #expect(fields.spans.isEmpty)
        #expect(fields.bytes.readableBytes == 0)
        #expect(fields.bytes.storageCapacity <= 4_096)
        #expect(fields.listSize == 33 + (isHuffman ? count / 5 * 8 : count))
        #expect(decoder.tableCount == 0)
    }

    @Test("One large section does not enlarge the memory for the next section")
    func expectation() throws {
        var decoder = HPACKSectionDecoder()
        let large = HPACKTestField("name", String(repeating: "v", count: 60_000))
        let first = try decoder.section(HPACKTestBytes.inserted(large))
        #expect(first.testFields == [large])
        let second = try decoder.section([0x82])
        #expect(second.bytes.storageCapacity <= 4_096)
    }
}
