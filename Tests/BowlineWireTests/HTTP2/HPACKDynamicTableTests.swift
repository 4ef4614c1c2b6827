import NIOCore
import Testing

@testable import BowlineTransport

/// The dynamic table of RFC 7541 §4, through the decoder, beside a list of fields.
@Suite struct HPACKDynamicTableTests {
    /// The table as RFC 7541 §4.3 and §4.4 describe it.
    private struct Model {
        var maximum: Int
        var fields: [HPACKTestField] = []

        var size: Int { fields.reduce(0) { $0 + $1.size } }

        mutating func insert(_ field: HPACKTestField) {
            while !fields.isEmpty, size + field.size > maximum { fields.removeLast() }
            if field.size <= maximum { fields.insert(field, at: 0) }
        }

        mutating func resize(to maximum: Int) {
            self.maximum = maximum
            while size > maximum { fields.removeLast() }
        }
    }

    @Test("Any sequence of literals and table sizes leaves the entries that the RFC requires")
    func anySequence() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKDynamicTableTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        for connection in 0..<60 {
            let setting = [0, 40, 100, 700, 4_096].randomElement(using: &random) ?? 0
            var model = Model(maximum: setting)
            var decoder = HPACKSectionDecoder(tableSize: setting)
            var limits = HPACKLimits()
            // What is beyond the limits takes another way into the table.
            if connection.isMultiple(of: 2) { limits.maximumListSize = 50 }
            for section in 0..<60 {
                var bytes: [UInt8] = []
                if Int.random(in: 0..<8, using: &random) == 0 {
                    let size = Int.random(in: 0...setting, using: &random)
                    bytes += HPACKTestBytes.sizeUpdate(size)
                    model.resize(to: size)
                }
                for _ in 0..<Int.random(in: 0...6, using: &random) {
                    bytes += Self.literal(into: &model, using: &random)
                }
                _ = try decoder.section(bytes, limits: limits)
                let place = "seed \(seed), connection \(connection), section \(section)"
                try #require(decoder.testTable == model.fields, "\(place)")
                try #require(decoder.tableBytes == model.size, "\(place)")
                try #require(decoder.tableCount == model.fields.count, "\(place)")
            }
        }
    }

    /// A literal with a new name, or with that of an entry, which it may evict.
    private static func literal(into model: inout Model, using random: inout SeededRandom) -> [UInt8] {
        let longest = Int.random(in: 0..<6, using: &random) == 0 ? model.maximum + 40 : 24
        let value = (0..<Int.random(in: 0...longest, using: &random)).map { _ in
            UInt8.random(in: .min ... .max, using: &random)
        }
        if !model.fields.isEmpty, Bool.random(using: &random) {
            let position = Int.random(in: 0..<model.fields.count, using: &random)
            let field = HPACKTestField(model.fields[position].name, value)
            model.insert(field)
            return HPACKTestBytes.inserted(nameAt: 62 + position, value)
        }
        let name = (0..<Int.random(in: 0...12, using: &random)).map { _ in
            UInt8.random(in: .min ... .max, using: &random)
        }
        let field = HPACKTestField(name, value)
        model.insert(field)
        return HPACKTestBytes.inserted(field)
    }

    @Test("§4.4: an entry takes its name from the entry that it evicts", arguments: [false, true])
    func nameOfEvicted(isBeyondLimits: Bool) throws {
        var decoder = HPACKSectionDecoder(tableSize: 60)
        var limits = HPACKLimits()
        if isBeyondLimits { limits.maximumFields = 0 }
        _ = try decoder.section(HPACKTestBytes.inserted(HPACKTestField("first-name", "one")), limits: limits)
        #expect(decoder.testTable == [HPACKTestField("first-name", "one")])
        for value in ["two", "three", "four", "a longer value"] {
            _ = try decoder.section(HPACKTestBytes.inserted(nameAt: 62, Array(value.utf8)), limits: limits)
            #expect(decoder.testTable == [HPACKTestField("first-name", value)])
            #expect(decoder.tableBytes == 42 + value.utf8.count)
        }
    }

    @Test("§4.4: an entry that is larger than the table empties it and is no error", arguments: [false, true])
    func tooLargeEntry(isBeyondLimits: Bool) throws {
        var decoder = HPACKSectionDecoder(tableSize: 100)
        var limits = HPACKLimits()
        if isBeyondLimits { limits.maximumListSize = 40 }
        _ = try decoder.section(HPACKTestBytes.inserted(HPACKTestField("a", "1")), limits: limits)
        #expect(decoder.tableCount == 1)
        // One byte more than fits, then exactly what fits.
        let large = HPACKTestField("name", String(repeating: "v", count: 65))
        let fields = try decoder.section(HPACKTestBytes.inserted(large), limits: limits)
        #expect(fields.testFields == (isBeyondLimits ? [] : [large]))
        #expect(decoder.tableCount == 0)
        #expect(decoder.tableBytes == 0)
        let fitting = HPACKTestField("name", String(repeating: "v", count: 64))
        _ = try decoder.section(HPACKTestBytes.inserted(fitting), limits: limits)
        #expect(decoder.testTable == [fitting])
        #expect(decoder.tableBytes == 100)
    }

    @Test("Entries are found at their positions while their numbers and offsets wrap around")
    func wrapAround() throws {
        var table = HPACKDynamicTable(maximumSize: 400, numberedFrom: .max - 20)
        var tableIndex = HPACKTableIndex(maximumSize: 400)
        var model = Model(maximum: 400)
        for round in 0..<200 {
            let field = HPACKTestField("x-name", "\(round)")
            let before = Self.find(field, in: table, tableIndex)
            #expect(before.field == nil, "round \(round)")
            field.name.withUnsafeBytes { name in
                field.value.withUnsafeBytes { table.insert(name: name, value: $0) }
            }
            tableIndex.add(table.newest, fieldHash: Self.fieldHash(field), nameHash: Self.nameHash(field))
            model.insert(field)
            try #require(table.count == model.fields.count, "round \(round)")
            try #require(table.size == model.size, "round \(round)")
            for (position, field) in model.fields.enumerated() {
                let stored = table.field(at: position)
                #expect(stored.name == field.name, "round \(round)")
                #expect(stored.value == field.value, "round \(round)")
                let found = Self.find(field, in: table, tableIndex)
                #expect(found.field == position, "round \(round)")
                #expect(found.name == 0, "round \(round)")
            }
        }
    }

    private static func find(
        _ field: HPACKTestField, in table: HPACKDynamicTable, _ tableIndex: HPACKTableIndex
    ) -> (field: Int?, name: Int?) {
        field.name.withUnsafeBytes { name in
            field.value.withUnsafeBytes { value in
                (
                    tableIndex.findField(name, value, hash: fieldHash(field), in: table),
                    tableIndex.findName(name, hash: nameHash(field), in: table)
                )
            }
        }
    }

    /// Few hashes, so that entries share their buckets.
    private static func fieldHash(_ field: HPACKTestField) -> UInt32 { UInt32((field.value.last ?? 0) & 3) }
    private static func nameHash(_ field: HPACKTestField) -> UInt32 { UInt32(field.name.count) }

    @Test("A table of 64 KiB holds 2,048 empty fields, and the oldest is still found")
    func manyEntries() throws {
        var decoder = HPACKSectionDecoder(tableSize: 65_536)
        let first = HPACKTestField("", "")
        for _ in 0..<2_048 {
            let fields = try decoder.testFields(HPACKTestBytes.inserted(first))
            try #require(fields == [first])
        }
        #expect(decoder.tableCount == 2_048)
        #expect(decoder.tableBytes == 65_536)
        let oldest = try decoder.testFields(HPACKTestBytes.indexed(61 + 2_048))
        #expect(oldest == [first])
        let named = try decoder.testFields(HPACKTestBytes.inserted(HPACKTestField("", "x")))
        #expect(named == [HPACKTestField("", "x")])
        // 33 bytes evict two of 32.
        #expect(decoder.tableCount == 2_047)
        #expect(decoder.tableBytes == 65_505)
    }
}
