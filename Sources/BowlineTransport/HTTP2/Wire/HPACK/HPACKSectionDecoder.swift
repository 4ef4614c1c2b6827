package import NIOCore

/// Decodes field sections (RFC 7541), in the order in which the peer encoded them.
///
/// The names and values of a section are written into one buffer; a field costs no allocation. A field beyond the
/// limits changes the table like every other field, but is not stored. So the limits and the table bound the memory of
/// a section, whatever the peer sends.
///
/// After an error the table differs from the peer's table, and each later call throws the same error.
package struct HPACKSectionDecoder: Sendable {
    /// A literal's name and value before they are decoded.
    private struct Literal {
        /// The index of the name in the tables. 0: the name is in the section.
        var index: Int
        var entry: HPACKEntry
        var name: HPACKReader.Text
        var value: HPACKReader.Text
        var isIndexed: Bool
    }

    private let staticTable = HPACKStaticTable.shared
    private let huffman = HPACKHuffman.shared
    private var table: HPACKDynamicTable
    /// The SETTINGS_HEADER_TABLE_SIZE in force.
    private var allowedSize: Int
    /// The next section must begin with a size update to at most this. nil: no size update is due.
    private var dueSize: Int?
    private var failure: HPACKError?

    // The expected size of a section, from earlier sections. So it is decoded into a buffer of the right size.
    private var expectedBytes = 256
    private var expectedFields = 16
    private static let largestExpectation = 4096

    /// - Parameter tableSize: The SETTINGS_HEADER_TABLE_SIZE in force for the peer's encoder. It is 4,096 until the
    ///   peer has acknowledged a setting of ours.
    package init(tableSize: Int = 4_096) {
        table = HPACKDynamicTable(maximumSize: tableSize)
        allowedSize = table.maximumSize
    }

    /// The table's size as RFC 7541 §4.1 counts it.
    package var tableBytes: Int { table.size }

    /// The number of entries in the table.
    package var tableCount: Int { table.count }

    /// The bytes of an entry, for tests.
    ///
    /// - Parameter index: 0 for the newest entry, to `tableCount - 1`.
    package func tableField(at index: Int) -> (name: [UInt8], value: [UInt8]) { table.field(at: index) }

    /// Applies our SETTINGS_HEADER_TABLE_SIZE, which the peer has acknowledged.
    ///
    /// If it is smaller than the table, the next section must begin with a size update (RFC 7541 §4.2).
    package mutating func tableSizeAcknowledged(_ size: Int) {
        allowedSize = HPACKDynamicTable.bounded(size)
        guard allowedSize < table.maximumSize else { return }
        dueSize = min(dueSize ?? allowedSize, allowedSize)
    }

    /// Decodes a section.
    ///
    /// - Parameters:
    ///   - block: The whole section, without padding and frame headers.
    ///   - limits: The limits for the fields that are stored.
    ///   - allocator: Allocates the buffer of the fields.
    package mutating func decode(
        _ block: ByteBuffer, limits: HPACKLimits, allocator: ByteBufferAllocator
    ) throws(HPACKError) -> HPACKFields {
        if let failure { throw failure }
        do {
            return try block.withUnsafeReadableBytes { bytes throws(HPACKError) -> HPACKFields in
                try decode(bytes, limits: limits, allocator: allocator)
            }
        } catch {
            failure = error
            throw error
        }
    }

    private mutating func decode(
        _ block: UnsafeRawBufferPointer, limits: HPACKLimits, allocator: ByteBufferAllocator
    ) throws(HPACKError) -> HPACKFields {
        var reader = HPACKReader(block)
        try takeSizeUpdates(&reader)
        var sink = HPACKFieldSink(limits: limits, expectedFields: min(expectedFields, block.count))
        var output = allocator.buffer(capacity: expectedBytes)
        while !reader.isAtEnd {
            let offset = output.writerIndex
            let needed = sink.shortage
            try output.writeWithUnsafeMutableBytes(minimumWritableBytes: needed) { memory throws(HPACKError) -> Int in
                sink.begin(memory, offset: offset)
                try decodeFields(&reader, into: &sink)
                return sink.written
            }
        }
        // The expectation grows at once and shrinks slowly, because trailers are smaller than the heads between them. A
        // Huffman string needs more room while it is decoded than its bytes take afterwards.
        expectedBytes = min(max(output.writerIndex + 64, expectedBytes &- expectedBytes / 8), Self.largestExpectation)
        expectedFields = max(sink.spans.count, expectedFields &- expectedFields / 8)
        return HPACKFields(
            bytes: output, spans: sink.spans, listSize: sink.listSize, isTooLarge: sink.isTooLarge)
    }

    /// Reads the size updates before the first field: at most two (RFC 7541 §4.2).
    private mutating func takeSizeUpdates(_ reader: inout HPACKReader) throws(HPACKError) {
        var count = 0
        while !reader.isAtEnd, reader.next & 0xE0 == 0x20 {
            guard count < 2 else { throw HPACKError.lateTableSizeUpdate }
            count += 1
            let size = try reader.integer(prefix: 5)
            guard size <= allowedSize else { throw HPACKError.tableSizeTooLarge }
            if let due = dueSize {
                guard size <= due else { throw HPACKError.missingTableSizeUpdate }
                dueSize = nil
            }
            table.resize(to: size)
        }
        guard dueSize == nil else { throw HPACKError.missingTableSizeUpdate }
    }

    /// Decodes fields up to the end of the section, or up to the first field that the sink has no room for.
    private mutating func decodeFields(
        _ reader: inout HPACKReader, into sink: inout HPACKFieldSink
    ) throws(HPACKError) {
        while !reader.isAtEnd {
            let start = reader.position
            let first = reader.next
            let isTaken: Bool
            if first & 0x80 != 0 {
                isTaken = try takeIndexed(&reader, into: &sink)
            } else if first & 0x40 != 0 {
                isTaken = try takeLiteral(&reader, indexPrefix: 6, into: &sink)
            } else if first & 0x20 != 0 {
                throw HPACKError.lateTableSizeUpdate
            } else {
                isTaken = try takeLiteral(&reader, indexPrefix: 4, into: &sink)
            }
            guard isTaken else {
                reader.position = start
                return
            }
        }
    }

    /// Decodes an indexed field (RFC 7541 §6.1).
    ///
    /// - Returns: false if the sink has no room. Then only the reader was changed.
    @inline(__always)
    private func takeIndexed(
        _ reader: inout HPACKReader, into sink: inout HPACKFieldSink
    ) throws(HPACKError) -> Bool {
        let index = try reader.integer(prefix: 7)
        let entry = try self.entry(at: index)
        let byteCount = entry.byteCount
        guard sink.accepts(byteCount) else {
            sink.skip(byteCount)
            return true
        }
        guard let target = sink.room(for: byteCount) else { return false }
        copy(entry, at: index, count: byteCount, to: target)
        sink.store(nameCount: entry.nameCount, valueCount: entry.valueCount)
        return true
    }

    /// Decodes a literal (RFC 7541 §6.2).
    ///
    /// - Parameter indexPrefix: The number of bits of the index in the first byte: 6 if the field enters the table,
    ///   else 4.
    /// - Returns: false if the sink has no room. Then only the reader was changed.
    private mutating func takeLiteral(
        _ reader: inout HPACKReader, indexPrefix: Int, into sink: inout HPACKFieldSink
    ) throws(HPACKError) -> Bool {
        let literal = try readLiteral(&reader, indexPrefix: indexPrefix)
        var nameRoom = literal.index > 0 ? literal.entry.nameCount : literal.name.maximumCount
        var valueRoom = literal.value.maximumCount
        if !sink.accepts(nameRoom &+ valueRoom) {
            // The upper bound may be too large: the decoded size decides.
            nameRoom = try literal.index > 0 ? literal.entry.nameCount : decodedCount(of: literal.name)
            valueRoom = try decodedCount(of: literal.value)
            guard sink.accepts(nameRoom &+ valueRoom) else {
                sink.skip(nameRoom &+ valueRoom)
                insertUnstored(literal, nameCount: nameRoom, valueCount: valueRoom)
                return true
            }
        }
        guard let target = sink.room(for: nameRoom &+ valueRoom) else { return false }
        guard let nameCount = decodeName(of: literal, into: target),
            let valueCount = decode(literal.value, into: target + nameCount)
        else { throw HPACKError.invalidHuffman }
        sink.store(nameCount: nameCount, valueCount: valueCount)
        if literal.isIndexed { insert(target, nameCount: nameCount, valueCount: valueCount) }
        return true
    }

    @inline(__always)
    private func readLiteral(
        _ reader: inout HPACKReader, indexPrefix: Int
    ) throws(HPACKError) -> Literal {
        let index = try reader.integer(prefix: indexPrefix)
        var entry = HPACKEntry(offset: 0, nameLength: 0, valueLength: 0)
        var name = HPACKReader.Text(bytes: UnsafeRawBufferPointer(start: nil, count: 0), isHuffman: false)
        if index > 0 {
            entry = try self.entry(at: index)
        } else {
            name = try reader.text()
        }
        let value = try reader.text()
        return Literal(index: index, entry: entry, name: name, value: value, isIndexed: indexPrefix == 6)
    }

    /// Inserts a literal into the table, although the literal exceeds the limits of the section. A literal that is
    /// larger than the table only empties the table. Any other literal is first decoded into separate memory, because
    /// its name may be in an entry that the insertion evicts (RFC 7541 §4.4).
    private mutating func insertUnstored(_ literal: Literal, nameCount: Int, valueCount: Int) {
        guard literal.isIndexed else { return }
        guard table.canHold(nameCount + valueCount) else {
            table.removeAll()
            return
        }
        withUnsafeTemporaryAllocation(byteCount: max(nameCount + valueCount, 1), alignment: 1) { memory in
            guard let target = memory.baseAddress, decodeName(of: literal, into: target) == nameCount,
                decode(literal.value, into: target + nameCount) == valueCount
            else { return }
            insert(target, nameCount: nameCount, valueCount: valueCount)
        }
    }

    @inline(__always)
    private mutating func insert(_ field: UnsafeMutableRawPointer, nameCount: Int, valueCount: Int) {
        table.insert(
            name: UnsafeRawBufferPointer(start: field, count: nameCount),
            value: UnsafeRawBufferPointer(start: field + nameCount, count: valueCount)
        )
    }

    /// Returns the entry at an index of the static or the dynamic table (RFC 7541 §2.3.3).
    @inline(__always)
    private func entry(at index: Int) throws(HPACKError) -> HPACKEntry {
        if index <= HPACKStaticTable.count {
            guard index > 0 else { throw HPACKError.invalidIndex }
            return staticTable.entry(at: index)
        }
        let position = index &- HPACKStaticTable.count &- 1
        guard position < table.count else { throw HPACKError.invalidIndex }
        return table.entry(at: position)
    }

    @inline(__always)
    private func copy(_ entry: HPACKEntry, at index: Int, count: Int, to target: UnsafeMutableRawPointer) {
        if index <= HPACKStaticTable.count {
            target.copyMemory(from: staticTable.bytes + Int(truncatingIfNeeded: entry.offset), byteCount: count)
        } else {
            table.copy(entry, count: count, to: target)
        }
    }

    private func decodedCount(of text: HPACKReader.Text) throws(HPACKError) -> Int {
        guard text.isHuffman else { return text.bytes.count }
        guard let count = huffman.decodedCount(of: text.bytes) else { throw HPACKError.invalidHuffman }
        return count
    }

    /// Decodes the name. Returns how many bytes the decoded name has. nil: the name breaks RFC 7541 §5.2.
    @inline(__always)
    private func decodeName(of literal: Literal, into target: UnsafeMutableRawPointer) -> Int? {
        guard literal.index > 0 else { return decode(literal.name, into: target) }
        copy(literal.entry, at: literal.index, count: literal.entry.nameCount, to: target)
        return literal.entry.nameCount
    }

    /// Decodes the text. Returns how many bytes the decoded text has. nil: the text breaks RFC 7541 §5.2.
    @inline(__always)
    private func decode(_ text: HPACKReader.Text, into target: UnsafeMutableRawPointer) -> Int? {
        if text.isHuffman { return huffman.decode(text.bytes, into: target) }
        if let start = text.bytes.baseAddress { target.copyMemory(from: start, byteCount: text.bytes.count) }
        return text.bytes.count
    }
}
