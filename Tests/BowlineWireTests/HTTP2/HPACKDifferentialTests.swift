import BowlineTransport
import NIOCore
import NIOHPACK
import Testing

/// HPACK beside NIOHPACK, in both directions: tables of 0 to 64 KiB, whose sizes change between sections.
@Suite struct HPACKDifferentialTests {
    private static let connections = 60
    private static let sections = 60

    @Test("NIOHPACK reads what this encoder writes: the same fields, and secrets that no table keeps")
    func encoder() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKDifferentialTests seed of encoder: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<Self.connections {
            var drawing = FieldDrawing(.text)
            var encoder = HPACKSectionEncoder(
                maximumTableSize: [0, 100, 4_096, 65_536].randomElement(using: &random) ?? 0)
            var decoder = Self.decoder(4_096)
            for section in 0..<Self.sections {
                let place = "seed \(seed), connection \(connection), section \(section)"
                for _ in 0..<Self.changes(using: &random) {
                    let size = random.tableSize()
                    decoder.maxDynamicTableLength = size
                    encoder.peerTableSize(size)
                }
                let fields = drawing.section(using: &random)
                var block = encoder.block(of: fields)
                let decoded = try Self.decode(&block, with: &decoder, place)
                let difference = differenceBetween(decoded.fields, fields)
                try #require(difference == nil, "\(place): \(difference ?? "")")
                for (field, isSecret) in zip(fields, decoded.secrets) where field.isSecret {
                    try #require(isSecret, "\(place): \(field.nameText) may be put into a table on the way")
                }
                try #require(encoder.tableBytes <= decoder.maxDynamicTableLength, "\(place)")
            }
        }
    }

    @Test("This decoder reads what NIOHPACK writes, with and without Huffman's code: the same fields and table")
    func decoder() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKDifferentialTests seed of decoder: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<Self.connections {
            var drawing = FieldDrawing(.text)
            let start = random.tableSize()
            var encoder = HPACKEncoder(
                allocator: ByteBufferAllocator(), useHuffmanEncoding: Bool.random(using: &random),
                maxDynamicTableSize: start)
            var decoder = HPACKSectionDecoder(tableSize: start)
            for section in 0..<Self.sections {
                let place = "seed \(seed), connection \(connection), section \(section)"
                for _ in 0..<Self.changes(using: &random) {
                    let size = random.tableSize()
                    try encoder.setDynamicTableSize(size)
                    decoder.tableSizeAcknowledged(size)
                }
                let fields = drawing.section(using: &random)
                var block = ByteBuffer()
                try encoder.encode(headers: Self.headers(fields), to: &block)
                let decoded = try decoder.decode(block, limits: .unlimited, allocator: ByteBufferAllocator())
                let difference = differenceBetween(decoded.drawn, fields)
                try #require(difference == nil, "\(place): \(difference ?? "")")
                try #require(decoded.listSize == DrawnSection(fields: fields).listSize, "\(place)")
                try #require(!decoded.isTooLarge, "\(place)")
                try #require(decoder.tableBytes == encoder.dynamicTableSize, "\(place)")
            }
        }
    }

    @Test("This decoder reads what this encoder writes, of any bytes, and both have the same table")
    func bothOurs() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKDifferentialTests seed of both: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<Self.connections {
            var drawing = FieldDrawing(.bytes)
            var encoder = HPACKSectionEncoder(maximumTableSize: 65_536)
            var decoder = HPACKSectionDecoder()
            for section in 0..<Self.sections {
                let place = "seed \(seed), connection \(connection), section \(section)"
                for _ in 0..<Self.changes(using: &random) {
                    let size = random.tableSize()
                    encoder.peerTableSize(size)
                    decoder.tableSizeAcknowledged(size)
                }
                let fields = drawing.section(using: &random)
                let block = encoder.block(of: fields)
                let decoded = try decoder.decode(block, limits: .unlimited, allocator: ByteBufferAllocator())
                let difference = differenceBetween(decoded.drawn, fields)
                try #require(difference == nil, "\(place): \(difference ?? "")")
                try #require(encoder.tableBytes == decoder.tableBytes, "\(place)")
                try #require(encoder.tableCount == decoder.tableCount, "\(place)")
            }
        }
    }

    @Test("Fields beyond the limits are not stored, and the table is right for the sections behind them")
    func limits() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKDifferentialTests seed of limits: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<Self.connections / 4 {
            var drawing = FieldDrawing(.text)
            var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
            var decoder = HPACKSectionDecoder()
            for section in 0..<Self.sections {
                let place = "seed \(seed), connection \(connection), section \(section)"
                let fields = drawing.section(using: &random)
                var limits = HPACKLimits()
                limits.maximumListSize = Int.random(in: 0...4_000, using: &random)
                limits.maximumFields = Int.random(in: 0...20, using: &random)
                var block = ByteBuffer()
                try encoder.encode(headers: Self.headers(fields), to: &block)
                let decoded = try decoder.decode(block, limits: limits, allocator: ByteBufferAllocator())
                let size = DrawnSection(fields: fields).listSize
                let isTooLarge = size > limits.maximumListSize || fields.count > limits.maximumFields
                try #require(decoded.isTooLarge == isTooLarge, "\(place)")
                try #require(decoded.listSize == size, "\(place)")
                let stored = decoded.drawn
                try #require(stored.count <= limits.maximumFields, "\(place)")
                try #require(DrawnSection(fields: stored).listSize <= limits.maximumListSize, "\(place)")
                let difference = differenceBetween(stored, Array(fields.prefix(stored.count)))
                try #require(difference == nil, "\(place): \(difference ?? "")")
                try #require(isTooLarge || stored.count == fields.count, "\(place)")
                try #require(decoder.tableBytes == encoder.dynamicTableSize, "\(place)")
            }
        }
    }

    /// How often the table's size changes before a section: mostly never, at times down and up again.
    private static func changes(using random: inout SeededRandom) -> Int {
        Int.random(in: 0..<6, using: &random) == 0 ? Int.random(in: 1...3, using: &random) : 0
    }

    private static func decoder(_ size: Int) -> HPACKDecoder {
        HPACKDecoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: size, maxHeaderListSize: 1 << 24)
    }

    private static func decode(
        _ block: inout ByteBuffer, with decoder: inout HPACKDecoder, _ place: String
    ) throws -> (fields: [DrawnField], secrets: [Bool]) {
        do {
            let headers = try decoder.decodeHeaders(from: &block)
            return (
                headers.map { DrawnField($0.name, $0.value) },
                headers.map { if case .neverIndexed = $0.indexable { true } else { false } }
            )
        } catch {
            Issue.record("\(place): NIOHPACK refuses the section: \(error)")
            throw error
        }
    }

    private static func headers(_ fields: [DrawnField]) -> HPACKHeaders {
        var headers = HPACKHeaders()
        for (index, field) in fields.enumerated() {
            headers.add(
                name: field.nameText, value: field.valueText,
                indexing: field.isSecret ? .neverIndexed : index.isMultiple(of: 5) ? .nonIndexable : .indexable)
        }
        return headers
    }
}
