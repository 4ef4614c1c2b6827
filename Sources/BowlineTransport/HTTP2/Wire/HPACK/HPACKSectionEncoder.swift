internal import BowlineCore
package import NIOCore

/// Encodes field sections (RFC 7541), in the order in which they are sent.
///
/// For each section call ``begin(into:)``, then `encode` for each field. Every encoded field must be sent, because it
/// has changed the table. Names must be in lower case (RFC 9113 §8.2.1). Values may contain any bytes.
package struct HPACKSectionEncoder: Sendable {
    /// The table sizes that the next section must announce (RFC 7541 §4.2).
    private struct SizeChange {
        var smallest: Int
        var last: Int
    }

    /// How a field is represented (RFC 7541 §6.1, §6.2).
    private enum Literal {
        case indexed, unindexed, neverIndexed
    }

    /// The largest table. A larger one would cost memory for fields that a client sends once.
    private static let largestTable = 65_536
    /// The initial table size of the peer's decoder (RFC 9113 §6.5.2).
    private static let initialSize = 4_096

    private let staticTable = HPACKStaticTable.shared
    private let names = HPACKKnownNames.shared
    private let huffman = HPACKHuffman.shared
    private let maximumTableSize: Int
    private var table: HPACKDynamicTable
    private var tableIndex: HPACKTableIndex
    /// The table's size in the peer's decoder.
    private var announcedSize = HPACKSectionEncoder.initialSize
    private var sizeChange: SizeChange?

    /// Whether strings are written in the Huffman code if that is shorter. False only in tests.
    package var usesHuffman = true

    /// - Parameter maximumTableSize: The largest table to use, even if the peer allows more: 0 to 65,536 bytes. 0: no
    ///   field enters the table.
    package init(maximumTableSize: Int = 4_096) {
        let maximum = min(max(maximumTableSize, 0), Self.largestTable)
        self.maximumTableSize = maximum
        table = HPACKDynamicTable(maximumSize: min(maximum, Self.initialSize))
        tableIndex = HPACKTableIndex(maximumSize: maximum)
        if maximum < Self.initialSize { sizeChange = SizeChange(smallest: maximum, last: maximum) }
    }

    /// The table's size as RFC 7541 §4.1 counts it.
    package var tableBytes: Int { table.size }

    /// The number of entries in the table.
    package var tableCount: Int { table.count }

    /// The bytes of an entry, for tests.
    ///
    /// - Parameter index: 0 for the newest entry, to `tableCount - 1`.
    package func tableField(at index: Int) -> (name: [UInt8], value: [UInt8]) { table.field(at: index) }

    /// Applies the peer's SETTINGS_HEADER_TABLE_SIZE. The next section announces the change. If the size went down and
    /// up again since the last section, the next section announces both sizes (RFC 7541 §4.2).
    package mutating func peerTableSize(_ size: Int) {
        let last = min(max(size, 0), maximumTableSize)
        sizeChange = SizeChange(smallest: min(sizeChange?.smallest ?? announcedSize, last), last: last)
    }

    /// Begins a section: writes the size updates that are due. A second call writes nothing.
    package mutating func begin(into buffer: inout ByteBuffer) {
        guard let change = sizeChange else { return }
        sizeChange = nil
        if change.smallest < min(announcedSize, change.last) { announce(change.smallest, into: &buffer) }
        if change.last != announcedSize { announce(change.last, into: &buffer) }
    }

    private mutating func announce(_ size: Int, into buffer: inout ByteBuffer) {
        announcedSize = size
        table.resize(to: size)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: HPACKWriter.integerRoom) { memory in
            guard let base = memory.baseAddress else { return 0 }
            var writer = HPACKWriter(base)
            writer.write(size, prefix: 5, pattern: 0x20)
            return writer.count
        }
    }

    /// Appends a field to the section.
    package mutating func encode(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, indexing: HPACKIndexing,
        into buffer: inout ByteBuffer
    ) {
        let room = name.count + value.count + HPACKWriter.integerRoom
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            guard let base = memory.baseAddress else { return 0 }
            var writer = HPACKWriter(base)
            write(name, value, indexing, to: &writer)
            return writer.count
        }
    }

    /// Appends a field to the section, without an allocation.
    package mutating func encode(
        name: StaticString, value: String, indexing: HPACKIndexing, into buffer: inout ByteBuffer
    ) {
        name.withUTF8Buffer { name in
            value.withBytes { value in
                encode(name: UnsafeRawBufferPointer(name), value: value, indexing: indexing, into: &buffer)
            }
        }
    }

    private mutating func write(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ indexing: HPACKIndexing,
        to writer: inout HPACKWriter
    ) {
        let hash = HPACKBytes.hash(name)
        let known = names.find(name, hash: hash)
        let nameHash = UInt32(truncatingIfNeeded: hash)
        let literal = Self.literal(for: indexing, known.habit)
        guard literal != .neverIndexed else {
            let nameIndex = index(ofName: name, known, hash: nameHash)
            write(name, nameIndex, prefix: 4, pattern: 0x10, value, to: &writer)
            return
        }
        if known.firstIndex > 0 {
            for index in known.firstIndex...known.lastIndex where staticTable.hasValue(value, at: index) {
                writer.write(index, prefix: 7, pattern: 0x80)
                return
            }
        }
        // A field that takes most of the table would evict all other entries, and may not come again.
        let byteCount = name.count &+ value.count
        let largestEntry = table.maximumSize &- table.maximumSize / 4
        guard literal == .indexed, byteCount <= largestEntry &- HPACKEntry.overhead else {
            let nameIndex = index(ofName: name, known, hash: nameHash)
            write(name, nameIndex, prefix: 4, pattern: 0x00, value, to: &writer)
            return
        }
        let fieldHash = UInt32(truncatingIfNeeded: HPACKBytes.hash(value, seed: hash))
        if let position = tableIndex.findField(name, value, hash: fieldHash, in: table) {
            writer.write(HPACKStaticTable.count &+ 1 &+ position, prefix: 7, pattern: 0x80)
            return
        }
        let nameIndex = index(ofName: name, known, hash: nameHash)
        write(name, nameIndex, prefix: 6, pattern: 0x40, value, to: &writer)
        table.insert(name: name, value: value)
        tableIndex.add(table.newest, fieldHash: fieldHash, nameHash: nameHash)
    }

    @inline(__always)
    private static func literal(for indexing: HPACKIndexing, _ habit: HPACKIndexingHabit) -> Literal {
        switch (indexing, habit) {
        case (.never, _), (.automatic, .secret): .neverIndexed
        case (.always, _), (.automatic, .repeats): .indexed
        case (.automatic, .changes): .unindexed
        }
    }

    /// Returns the index of an entry with this name in either table. 0: there is none.
    @inline(__always)
    private func index(ofName name: UnsafeRawBufferPointer, _ known: HPACKKnownNames.Knowledge, hash: UInt32) -> Int {
        if known.firstIndex > 0 { return known.firstIndex }
        guard let position = tableIndex.findName(name, hash: hash, in: table) else { return 0 }
        return HPACKStaticTable.count &+ 1 &+ position
    }

    /// Writes a literal (RFC 7541 §6.2).
    @inline(__always)
    private func write(
        _ name: UnsafeRawBufferPointer, _ nameIndex: Int, prefix: Int, pattern: UInt8, _ value: UnsafeRawBufferPointer,
        to writer: inout HPACKWriter
    ) {
        let huffman = usesHuffman ? self.huffman : nil
        writer.write(nameIndex, prefix: prefix, pattern: pattern)
        if nameIndex == 0 { writer.write(name, huffman: huffman) }
        writer.write(value, huffman: huffman)
    }
}
