import BowlineTransport
import NIOCore
import Testing

/// How the encoder chooses to represent a field, and when it announces a size of the table.
@Suite struct HPACKSectionEncoderTests {
    @Test("A field that comes again takes one byte")
    func repeated() {
        var encoder = HPACKSectionEncoder()
        let field = HPACKTestField("accept", "application/json")
        let first = encoder.section([field])
        #expect(first.first == UInt8(0x40 | 19))
        let second = encoder.section([field])
        #expect(second == [0xBE])
        #expect(encoder.testTable == [field])
    }

    @Test("Fields of the static table are found by name and value", arguments: staticFields)
    func staticField(index: Int, field: HPACKTestField) {
        var encoder = HPACKSectionEncoder()
        let bytes = encoder.section([field])
        #expect(bytes == HPACKTestBytes.indexed(index))
        #expect(encoder.tableCount == 0)
    }

    private static let staticFields: [(Int, HPACKTestField)] = [
        (2, HPACKTestField(":method", "GET")), (3, HPACKTestField(":method", "POST")),
        (4, HPACKTestField(":path", "/")),
        (5, HPACKTestField(":path", "/index.html")), (6, HPACKTestField(":scheme", "http")),
        (7, HPACKTestField(":scheme", "https")), (8, HPACKTestField(":status", "200")),
        (14, HPACKTestField(":status", "500")), (16, HPACKTestField("accept-encoding", "gzip, deflate")),
        (19, HPACKTestField("accept", "")), (61, HPACKTestField("www-authenticate", "")),
    ]

    @Test(
        "A field that rarely repeats is a literal that stays out of the table",
        arguments: [
            (":path", 4), ("content-length", 28), ("etag", 34), ("if-none-match", 41), ("if-modified-since", 40),
            ("range", 50), ("date", 33), ("idempotency-key", 0), ("traceparent", 0), ("x-request-id", 0),
        ])
    func unindexed(name: String, nameIndex: Int) throws {
        var encoder = HPACKSectionEncoder()
        encoder.usesHuffman = false
        let field = HPACKTestField(name, "some value")
        let value = HPACKTestBytes.text(field.value)
        let start = HPACKTestBytes.integer(nameIndex, prefix: 4)
        let expected = start + (nameIndex == 0 ? HPACKTestBytes.text(field.name) : []) + value
        for _ in 0..<2 {
            let bytes = encoder.section([field])
            #expect(bytes == expected)
        }
        #expect(encoder.tableCount == 0)
        // The caller can ask for it all the same.
        _ = encoder.section([field], .always)
        #expect(encoder.testTable == [field])
    }

    @Test(
        "Secrets are never indexed, whether the caller says so or not",
        arguments: [("authorization", 23), ("proxy-authorization", 49), ("set-cookie", 55), ("cookie", 32)])
    func secrets(name: String, nameIndex: Int) {
        let field = HPACKTestField(name, "short secret")
        for indexing in [HPACKIndexing.automatic, .never] {
            var encoder = HPACKSectionEncoder()
            encoder.usesHuffman = false
            for _ in 0..<2 {
                let bytes = encoder.section([field], indexing)
                #expect(
                    bytes == HPACKTestBytes.integer(nameIndex, prefix: 4, pattern: 0x10)
                        + HPACKTestBytes.text(field.value))
            }
            #expect(encoder.tableCount == 0)
        }
    }

    @Test("A field that must not be indexed may take its name from the table, and never its value")
    func neverWithName() {
        var encoder = HPACKSectionEncoder()
        encoder.usesHuffman = false
        let field = HPACKTestField("x-key", "a")
        _ = encoder.section([field])
        let bytes = encoder.section([field], .never)
        #expect(bytes == HPACKTestBytes.integer(62, prefix: 4, pattern: 0x10) + HPACKTestBytes.text(field.value))
        #expect(encoder.testTable == [field])
    }

    @Test("An entry may take three quarters of the table and no more")
    func largeEntries() {
        var encoder = HPACKSectionEncoder()
        let fitting = HPACKTestField("x-name", String(repeating: "v", count: 3_072 - 38))
        let large = HPACKTestField("x-name", String(repeating: "v", count: 3_073 - 38))
        let first = encoder.section([large])
        #expect(first.first == 0x00)
        #expect(encoder.tableCount == 0)
        let second = encoder.section([fitting])
        #expect(second.first == 0x40)
        #expect(encoder.testTable == [fitting])
        // Its name is now in the table.
        let third = encoder.section([large], .always)
        #expect(third.prefix(2) == [0x0F, 62 - 15])
        #expect(encoder.testTable == [fitting])
    }

    @Test("The Huffman code is used only where it is shorter")
    func shorter() {
        var encoder = HPACKSectionEncoder()
        let raw = HPACKTestField(Array(":path".utf8), [0x01, 0x02, 0x03])
        let literal = encoder.section([raw])
        #expect(literal == [0x04, 0x03, 0x01, 0x02, 0x03])
        // Three bytes either way.
        let tie = encoder.section([HPACKTestField(":path", "307")])
        #expect(tie == [0x04, 0x03, 0x33, 0x30, 0x37])
        let shorter = encoder.section([HPACKTestField(":path", "/aaaa")])
        #expect(shorter == [0x04, 0x84] + HPACKTestHuffman.encoded(Array("/aaaa".utf8)))
    }

    @Test("Literals and strings yield the same bytes as pointers")
    func conveniences() {
        for value in ["", "short", String(repeating: "long ", count: 40), "Grüße"] {
            var one = HPACKSectionEncoder()
            var other = HPACKSectionEncoder()
            for _ in 0..<2 {
                var buffer = ByteBuffer()
                one.encode(name: "x-name", value: value, indexing: .automatic, into: &buffer)
                let bytes = other.section([HPACKTestField("x-name", value)])
                #expect(Array(buffer.readableBytesView) == bytes)
            }
        }
    }

    /// Settings of the peer between two sections, and the sizes that the second announces.
    struct Announcement: Sendable, CustomTestStringConvertible {
        var maximum = 4_096
        var settings: [Int]
        var sizes: [Int]
        var testDescription: String { "at most \(maximum), settings \(settings), announced \(sizes)" }
    }

    @Test(
        "A section announces the smallest and the last size since the one before it",
        arguments: [
            Announcement(settings: [], sizes: []),
            Announcement(settings: [4_096], sizes: []),
            Announcement(settings: [65_536], sizes: []),
            Announcement(settings: [100], sizes: [100]),
            Announcement(settings: [0], sizes: [0]),
            Announcement(settings: [0, 4_096], sizes: [0, 4_096]),
            Announcement(settings: [100, 0, 200], sizes: [0, 200]),
            Announcement(settings: [200, 100], sizes: [100]),
            Announcement(settings: [200, 65_536], sizes: [200, 4_096]),
            Announcement(settings: [8_192, 4_096], sizes: []),
            Announcement(settings: [-1], sizes: [0]),
            Announcement(maximum: 65_536, settings: [65_536], sizes: [65_536]),
            Announcement(maximum: 65_536, settings: [Int.max], sizes: [65_536]),
            Announcement(maximum: 65_536, settings: [8_192, 6_000], sizes: [6_000]),
            Announcement(maximum: 65_536, settings: [6_000, 8_192], sizes: [8_192]),
            Announcement(maximum: 65_536, settings: [100, 8_192], sizes: [100, 8_192]),
            Announcement(maximum: Int.max, settings: [1 << 20], sizes: [65_536]),
        ])
    func announcements(announcement: Announcement) {
        var encoder = HPACKSectionEncoder(maximumTableSize: announcement.maximum)
        let start = encoder.section([HPACKTestField("a", "1")])
        #expect(start.first == 0x40)
        for setting in announcement.settings { encoder.peerTableSize(setting) }
        let bytes = encoder.section([])
        #expect(bytes == announcement.sizes.flatMap { HPACKTestBytes.sizeUpdate($0) })
        #expect(encoder.tableCount == (announcement.sizes.contains(0) ? 0 : 1))
        let again = encoder.section([])
        #expect(again.isEmpty)
    }

    @Test("A table smaller than the peer expects is announced in the first section", arguments: [0, 1_024])
    func smallerMaximum(size: Int) throws {
        var encoder = HPACKSectionEncoder(maximumTableSize: size)
        encoder.peerTableSize(65_536)
        let bytes = encoder.section([HPACKTestField(":method", "GET")])
        #expect(bytes == HPACKTestBytes.sizeUpdate(size) + [0x82])
        let field = HPACKTestField("x-name", "value")
        let literal = encoder.section([field])
        #expect(literal.first == (size == 0 ? 0x00 : 0x40))
        #expect(encoder.tableCount == (size == 0 ? 0 : 1))
    }

    @Test("Beginning a section twice writes once")
    func beginTwice() {
        var encoder = HPACKSectionEncoder()
        encoder.peerTableSize(0)
        var buffer = ByteBuffer()
        encoder.begin(into: &buffer)
        encoder.begin(into: &buffer)
        #expect(Array(buffer.readableBytesView) == [0x20])
    }
}
