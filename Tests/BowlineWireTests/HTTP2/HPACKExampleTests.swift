import BowlineTransport
import NIOCore
import Testing

/// The examples of RFC 7541, Appendix C, in both directions, with the table after each.
@Suite struct HPACKExampleTests {
    /// One section of an example.
    struct Section: Sendable {
        var bytes: [UInt8]
        var fields: [HPACKTestField]
        /// The table after it, from the newest entry to the oldest.
        var table: [HPACKTestField]
        var tableBytes: Int
    }

    /// Sections of one connection.
    struct Example: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var tableSize = 4_096
        var usesHuffman: Bool
        var sections: [Section]
    }

    @Test("C.3 to C.6: the decoder reads each section, and its table is the example's", arguments: examples)
    func decoding(example: Example) throws {
        var decoder = HPACKSectionDecoder(tableSize: example.tableSize)
        for section in example.sections {
            let fields = try decoder.section(section.bytes)
            #expect(fields.testFields == section.fields)
            #expect(fields.listSize == section.fields.reduce(0) { $0 + $1.size })
            #expect(!fields.isTooLarge)
            #expect(decoder.testTable == section.table)
            #expect(decoder.tableBytes == section.tableBytes)
        }
    }

    @Test("C.3 to C.6: the encoder writes each section, and its table is the example's", arguments: examples)
    func encoding(example: Example) {
        var encoder = HPACKSectionEncoder(maximumTableSize: example.tableSize)
        encoder.usesHuffman = example.usesHuffman
        // The examples do not say how the smaller table came about.
        let update = encoder.section([])
        #expect(update == (example.tableSize < 4_096 ? HPACKTestBytes.sizeUpdate(example.tableSize) : []))
        for section in example.sections {
            // The one string that is as long in the Huffman code as without it is written as it is here.
            let isTie = section.bytes == HPACKTestBytes.hex("4883 640e ffc1 c0bf")
            let expected = isTie ? HPACKTestBytes.hex("4803 3330 37c1 c0bf") : section.bytes
            let encoded = encoder.section(section.fields, .always)
            #expect(encoded == expected)
            #expect(encoder.testTable == section.table)
            #expect(encoder.tableBytes == section.tableBytes)
        }
    }

    /// Decodes the bytes and encodes the field. Afterwards each of the two tables has these fields.
    private func expectLiteral(
        _ hex: String, of field: HPACKTestField, _ indexing: HPACKIndexing = .automatic, table: [HPACKTestField],
        tableBytes: Int
    ) throws {
        let bytes = HPACKTestBytes.hex(hex)
        var decoder = HPACKSectionDecoder()
        let decoded = try decoder.testFields(bytes)
        #expect(decoded == [field])
        #expect(decoder.testTable == table)
        #expect(decoder.tableBytes == tableBytes)

        var encoder = HPACKSectionEncoder()
        encoder.usesHuffman = false
        let encoded = encoder.section([field], indexing)
        #expect(encoded == bytes)
        #expect(encoder.testTable == table)
        #expect(encoder.tableBytes == tableBytes)
    }

    @Test("C.2.1: a literal that enters the table")
    func literalWithIndexing() throws {
        let field = HPACKTestField("custom-key", "custom-header")
        try expectLiteral(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", of: field, table: [field],
            tableBytes: 55)
    }

    @Test("C.2.2: a literal that does not enter the table")
    func literalWithoutIndexing() throws {
        try expectLiteral(
            "040c 2f73 616d 706c 652f 7061 7468", of: HPACKTestField(":path", "/sample/path"), table: [], tableBytes: 0)
    }

    @Test("C.2.3: a literal that is never indexed")
    func literalNeverIndexed() throws {
        try expectLiteral(
            "1008 7061 7373 776f 7264 0673 6563 7265 74", of: HPACKTestField("password", "secret"), .never, table: [],
            tableBytes: 0)
    }

    @Test("C.2.4: a field of the static table")
    func indexed() throws {
        let field = HPACKTestField(":method", "GET")
        var decoder = HPACKSectionDecoder()
        let decoded = try decoder.testFields([0x82])
        #expect(decoded == [field])
        #expect(decoder.testTable.isEmpty)

        var encoder = HPACKSectionEncoder()
        let encoded = encoder.section([field])
        #expect(encoded == [0x82])
        #expect(encoder.testTable.isEmpty)
    }

    private static let authority = HPACKTestField(":authority", "www.example.com")
    private static let noCache = HPACKTestField("cache-control", "no-cache")
    private static let custom = HPACKTestField("custom-key", "custom-value")

    private static func requests(_ name: String, usesHuffman: Bool, _ sections: [String]) -> Example {
        let start = [HPACKTestField(":method", "GET"), HPACKTestField(":scheme", "http"), HPACKTestField(":path", "/")]
        let last = [
            HPACKTestField(":method", "GET"), HPACKTestField(":scheme", "https"),
            HPACKTestField(":path", "/index.html"), authority, custom,
        ]
        return Example(
            testDescription: name, usesHuffman: usesHuffman,
            sections: [
                Section(
                    bytes: HPACKTestBytes.hex(sections[0]), fields: start + [authority], table: [authority],
                    tableBytes: 57),
                Section(
                    bytes: HPACKTestBytes.hex(sections[1]), fields: start + [authority, noCache],
                    table: [noCache, authority], tableBytes: 110),
                Section(
                    bytes: HPACKTestBytes.hex(sections[2]), fields: last, table: [custom, noCache, authority],
                    tableBytes: 164),
            ])
    }

    private static func responses(_ name: String, usesHuffman: Bool, _ sections: [String]) -> Example {
        let found = HPACKTestField(":status", "302")
        let temporary = HPACKTestField(":status", "307")
        let isPrivate = HPACKTestField("cache-control", "private")
        let date = HPACKTestField("date", "Mon, 21 Oct 2013 20:13:21 GMT")
        let later = HPACKTestField("date", "Mon, 21 Oct 2013 20:13:22 GMT")
        let location = HPACKTestField("location", "https://www.example.com")
        let gzip = HPACKTestField("content-encoding", "gzip")
        let cookie = HPACKTestField("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
        return Example(
            testDescription: name, tableSize: 256, usesHuffman: usesHuffman,
            sections: [
                Section(
                    bytes: HPACKTestBytes.hex(sections[0]), fields: [found, isPrivate, date, location],
                    table: [location, date, isPrivate, found], tableBytes: 222),
                Section(
                    bytes: HPACKTestBytes.hex(sections[1]), fields: [temporary, isPrivate, date, location],
                    table: [temporary, location, date, isPrivate], tableBytes: 222),
                Section(
                    bytes: HPACKTestBytes.hex(sections[2]),
                    fields: [HPACKTestField(":status", "200"), isPrivate, later, location, gzip, cookie],
                    table: [cookie, gzip, later], tableBytes: 215),
            ])
    }

    static let examples: [Example] = [
        requests(
            "C.3, requests without the Huffman code", usesHuffman: false,
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ]),
        requests(
            "C.4, requests with the Huffman code", usesHuffman: true,
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ]),
        responses(
            "C.5, responses without the Huffman code", usesHuffman: false,
            [
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133"
                    + "2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65"
                    + "2e63 6f6d",
                "4803 3330 37c1 c0bf",
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d"
                    + "54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541"
                    + "5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
            ]),
        responses(
            "C.6, responses with the Huffman code", usesHuffman: true,
            [
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6"
                    + "2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                "4883 640e ffc1 c0bf",
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab"
                    + "77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587"
                    + "3160 65c0 03ed 4ee5 b106 3d50 07",
            ]),
    ]
}
