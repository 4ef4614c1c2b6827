import BowlineTransport
import NIOCore
import Testing

/// What the encoder writes, the decoder reads, over many sections of one connection.
@Suite struct HPACKRoundTripTests {
    @Test("Thousands of sections round-trip byte for byte, and both tables stay equal")
    func sections() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKRoundTripTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<80 {
            var drawing = HPACKTestDrawing()
            let maximum = Self.tableSize(using: &random)
            var encoder = HPACKSectionEncoder(maximumTableSize: maximum)
            encoder.usesHuffman = Int.random(in: 0..<4, using: &random) > 0
            var decoder = HPACKSectionDecoder()
            for section in 0..<50 {
                let place = "seed \(seed), connection \(connection), section \(section)"
                Self.changeSizes(&encoder, &decoder, using: &random)
                let fields = drawing.section(using: &random)
                var buffer = ByteBuffer(bytes: [0xAA])
                encoder.begin(into: &buffer)
                for field in fields {
                    let choices = [HPACKIndexing.automatic, .automatic, .always, .never]
                    let indexing = choices.randomElement(using: &random) ?? .automatic
                    encoder.append(field, indexing, to: &buffer)
                }
                let bytes = Array(buffer.readableBytesView.dropFirst())
                var limits = HPACKLimits()
                limits.maximumListSize = .max
                let decoded = try decoder.section(bytes, limits: limits)
                try #require(decoded.testFields == fields, "\(place)")
                try #require(decoded.listSize == fields.reduce(0) { $0 + $1.size }, "\(place)")
                try #require(encoder.tableCount == decoder.tableCount, "\(place)")
                // Entry by entry only at times: a table may have a thousand.
                if section % 10 == 9 { try #require(encoder.testTable == decoder.testTable, "\(place)") }
                try #require(encoder.tableBytes == decoder.tableBytes, "\(place)")
                try #require(encoder.tableBytes <= maximum, "\(place)")
            }
        }
    }

    /// Changes the setting up to three times between two sections.
    private static func changeSizes(
        _ encoder: inout HPACKSectionEncoder, _ decoder: inout HPACKSectionDecoder, using random: inout SeededRandom
    ) {
        guard Int.random(in: 0..<5, using: &random) == 0 else { return }
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let size = tableSize(using: &random)
            encoder.peerTableSize(size)
            decoder.tableSizeAcknowledged(size)
        }
    }

    private static func tableSize(using random: inout SeededRandom) -> Int {
        let borders = [0, 1, 32, 33, 64, 4_095, 4_096, 4_097, 65_536]
        return Bool.random(using: &random)
            ? borders.randomElement(using: &random) ?? 0 : Int.random(in: 0...65_536, using: &random)
    }

    @Test("Searching a table full of entries with one name finds the right entry")
    func oneName() throws {
        var encoder = HPACKSectionEncoder(maximumTableSize: 65_536)
        var decoder = HPACKSectionDecoder()
        encoder.peerTableSize(65_536)
        decoder.tableSizeAcknowledged(65_536)
        for round in 0..<4_000 {
            let fields = [HPACKTestField("x-name", "\(round)"), HPACKTestField("x-name", "\(round / 2)")]
            let decoded = try decoder.testFields(encoder.section(fields))
            try #require(decoded == fields)
        }
        #expect(encoder.testTable == decoder.testTable)
        // The newest and the oldest entry are both found.
        for position in [0, encoder.tableCount - 1] {
            let bytes = encoder.section([encoder.testTable[position]])
            #expect(bytes == HPACKTestBytes.indexed(62 + position))
        }
    }
}
