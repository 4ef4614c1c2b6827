import BowlineTransport
import NIOCore
import Testing

/// Sections that break RFC 7541, each with its error, and the sizes of the table that the decoder insists on.
@Suite struct HPACKSectionDecoderTests {
    /// A section that a new decoder refuses.
    struct Malformed: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var bytes: [UInt8]
        var error: HPACKError

        init(_ description: String, _ hex: String, _ error: HPACKError) {
            testDescription = description
            bytes = HPACKTestBytes.hex(hex)
            self.error = error
        }
    }

    private static let malformed = [
        Malformed("index 0", "80", .invalidIndex),
        Malformed("index 62 of an empty table", "be", .invalidIndex),
        Malformed("the largest integer as index", "ff 80 ff ff ff 07", .invalidIndex),
        Malformed("an index above the largest integer", "ff 81 ff ff ff 07", .integerTooLarge),
        Malformed("an index of six bytes behind its prefix", "ff 80 80 80 80 80 00", .integerTooLarge),
        Malformed("an index that does not end", "ff 80", .truncated),
        Malformed("a name at index 62 of an empty table, to be inserted", "7e 00", .invalidIndex),
        Malformed("a name at index 62 of an empty table, not to be inserted", "0f 2f 00", .invalidIndex),
        Malformed("a name at index 62 of an empty table, never to be indexed", "1f 2f 00", .invalidIndex),
        Malformed("a literal without a name", "40", .truncated),
        Malformed("a literal whose name is cut", "40 03 61 62", .truncated),
        Malformed("a literal without a value", "40 01 61", .truncated),
        Malformed("a literal whose value is cut", "40 01 61 05 61", .truncated),
        Malformed("a literal with a named index and no value", "04", .truncated),
        Malformed("a name's length that does not end", "00 7f", .truncated),
        Malformed("a value's length above the largest integer", "04 7f ff ff ff ff ff 01", .integerTooLarge),
        Malformed("a value of 2³¹ − 1 bytes that are not there", "04 7f 80 ff ff ff 07", .truncated),
        Malformed("padding of zeros in a value", "04 81 00", .invalidHuffman),
        Malformed("padding of eight ones in a value", "04 81 ff", .invalidHuffman),
        Malformed("padding of eleven ones in a value", "04 82 07 ff", .invalidHuffman),
        Malformed("EOS in a value", "04 84 ff ff ff ff", .invalidHuffman),
        Malformed("padding of zeros in a name", "00 81 00 00", .invalidHuffman),
        Malformed("a size of one byte more than the setting", "3f e2 1f", .tableSizeTooLarge),
        Malformed("a size that does not end", "3f e2", .truncated),
        Malformed("a size behind a field", "82 20", .lateTableSizeUpdate),
        Malformed("a third size", "20 3f e1 1f 20", .lateTableSizeUpdate),
    ]

    /// Checks which error a section ends in; nil: it is decoded.
    private func expect(
        _ error: HPACKError?, of decoder: inout HPACKSectionDecoder, _ bytes: [UInt8],
        limits: HPACKLimits = HPACKLimits(), sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var found: HPACKError?
        do {
            _ = try decoder.section(bytes, limits: limits)
        } catch {
            found = error
        }
        #expect(found == error, sourceLocation: sourceLocation)
    }

    @Test("Each violation of the format has its error, even when no field is stored", arguments: malformed)
    func malformedSections(section: Malformed) {
        var decoder = HPACKSectionDecoder()
        expect(section.error, of: &decoder, section.bytes)
        // No later section can be right.
        expect(section.error, of: &decoder, [0x82])

        var limits = HPACKLimits()
        limits.maximumListSize = 0
        var strict = HPACKSectionDecoder()
        expect(section.error, of: &strict, section.bytes, limits: limits)
    }

    @Test("A section that is cut anywhere is truncated, or has the fields before the cut")
    func cutAnywhere() throws {
        let fields = [
            HPACKTestField(":path", "/some/path"), HPACKTestField("x-name", "value"), HPACKTestField(":method", "GET"),
            HPACKTestField("x-name", "value"), HPACKTestField("cookie", String(repeating: "c", count: 300)),
        ]
        var encoder = HPACKSectionEncoder()
        var buffer = ByteBuffer()
        encoder.begin(into: &buffer)
        var ends: [Int: Int] = [0: 0]
        for (position, field) in fields.enumerated() {
            encoder.append(field, .automatic, to: &buffer)
            ends[buffer.writerIndex] = position + 1
        }
        let bytes = Array(buffer.readableBytesView)
        for count in 0...bytes.count {
            var decoder = HPACKSectionDecoder()
            guard let whole = ends[count] else {
                expect(.truncated, of: &decoder, Array(bytes.prefix(count)))
                continue
            }
            let decoded = try decoder.testFields(Array(bytes.prefix(count)))
            #expect(decoded == Array(fields.prefix(whole)))
        }
    }

    @Test("An empty section has no fields")
    func empty() throws {
        var decoder = HPACKSectionDecoder()
        let fields = try decoder.section([])
        #expect(fields.spans.isEmpty)
        #expect(fields.listSize == 0)
        #expect(!fields.isTooLarge)
    }

    @Test("Names and values may be empty and have any bytes")
    func anyBytes() throws {
        let all = [UInt8](UInt8.min ... .max)
        let fields = [
            HPACKTestField("", ""), HPACKTestField("x", ""), HPACKTestField([], all), HPACKTestField(all, []),
        ]
        var decoder = HPACKSectionDecoder()
        let decoded = try decoder.testFields(fields.flatMap { HPACKTestBytes.inserted($0) })
        #expect(decoded == fields)
        #expect(decoder.testTable == fields.reversed())
    }

    @Test("Two sizes may begin a section; the table goes down to the first and up to the second")
    func twoSizes() throws {
        var decoder = HPACKSectionDecoder()
        _ = try decoder.section(HPACKTestBytes.inserted(HPACKTestField("a", "1")))
        #expect(decoder.tableCount == 1)
        _ = try decoder.section(HPACKTestBytes.sizeUpdate(0) + HPACKTestBytes.sizeUpdate(4_096))
        #expect(decoder.tableCount == 0)
        _ = try decoder.section(HPACKTestBytes.inserted(HPACKTestField("b", "2")))
        #expect(decoder.testTable == [HPACKTestField("b", "2")])
    }

    @Test("After a lowered setting is acknowledged, the next section must begin with a size of at most that")
    func loweredSetting() throws {
        var decoder = HPACKSectionDecoder()
        decoder.tableSizeAcknowledged(100)
        var missing = decoder
        expect(.missingTableSizeUpdate, of: &missing, [0x82])
        var empty = decoder
        expect(.missingTableSizeUpdate, of: &empty, [])
        var large = decoder
        expect(.tableSizeTooLarge, of: &large, HPACKTestBytes.sizeUpdate(101))

        let fields = try decoder.testFields(HPACKTestBytes.sizeUpdate(100) + [0x82])
        #expect(fields == [HPACKTestField(":method", "GET")])
        // Once is enough.
        expect(nil, of: &decoder, [0x82])
    }

    @Test("A setting lowered and raised again needs a size of at most the lowest")
    func loweredAndRaised() {
        var decoder = HPACKSectionDecoder()
        decoder.tableSizeAcknowledged(100)
        decoder.tableSizeAcknowledged(50)
        decoder.tableSizeAcknowledged(8_192)
        var large = decoder
        expect(.missingTableSizeUpdate, of: &large, HPACKTestBytes.sizeUpdate(51))
        var both = decoder
        expect(nil, of: &both, HPACKTestBytes.sizeUpdate(50) + HPACKTestBytes.sizeUpdate(8_192) + [0x82])
        expect(nil, of: &decoder, HPACKTestBytes.sizeUpdate(0) + [0x82])
    }

    @Test("A raised setting allows a larger table and demands nothing")
    func raisedSetting() throws {
        var decoder = HPACKSectionDecoder()
        decoder.tableSizeAcknowledged(8_192)
        let large = HPACKTestField("name", String(repeating: "v", count: 5_000))
        // The table stays as it is until the encoder says more.
        _ = try decoder.section(HPACKTestBytes.inserted(large))
        #expect(decoder.tableCount == 0)
        _ = try decoder.section(HPACKTestBytes.sizeUpdate(8_192) + HPACKTestBytes.inserted(large))
        #expect(decoder.testTable == [large])
        expect(.tableSizeTooLarge, of: &decoder, HPACKTestBytes.sizeUpdate(8_193))
    }

    @Test("A setting that is not below the table demands nothing")
    func settingAboveTable() throws {
        var decoder = HPACKSectionDecoder()
        _ = try decoder.section(HPACKTestBytes.sizeUpdate(64))
        decoder.tableSizeAcknowledged(64)
        expect(nil, of: &decoder, [0x82])
    }
}
