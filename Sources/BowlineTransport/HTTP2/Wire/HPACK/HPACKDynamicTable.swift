/// The dynamic table of RFC 7541 §2.3.2 and §4, for the decoder and the encoder.
///
/// The bytes of the entries are stored one after the other in one array, the newest entry last. Evicting an entry at
/// the front touches no byte. When the array has no room left, the live bytes move to its front. The array grows to
/// twice the table's size, so each byte moves about once. Once the array has that size, the table allocates no more.
struct HPACKDynamicTable: Sendable {
    /// The largest table, whatever the settings say. It keeps every offset within 32 bits.
    private static let largest = 1 << 28

    private(set) var maximumSize: Int
    /// The bytes of all names and values plus 32 for each entry (RFC 7541 §4.1).
    private(set) var size = 0
    private(set) var count = 0
    /// The number of the newest entry. Entries are numbered in order of insertion, from 1; the number wraps around.
    private(set) var newest: UInt32 = 0

    /// The entries. An entry is stored at its number modulo the length of the ring, which is a power of two.
    private var ring: [HPACKEntry] = []
    private var storage: [UInt8] = []
    /// The position of the next entry in `storage`.
    private var end = 0
    /// The difference between an entry's offset and its position in `storage`, modulo 2³². When the bytes move, only
    /// this changes.
    private var base: UInt32 = 0

    /// - Parameter newest: The number before the number of the first entry. Offsets begin at the same value. Only tests
    ///   use a value other than 0.
    init(maximumSize: Int, numberedFrom newest: UInt32 = 0) {
        self.maximumSize = Self.bounded(maximumSize)
        self.newest = newest
        base = newest
    }

    static func bounded(_ size: Int) -> Int { min(max(size, 0), largest) }

    /// - Parameter index: 0 for the newest entry, to `count - 1` for the oldest.
    @inline(__always)
    func entry(at index: Int) -> HPACKEntry {
        ring[slot(of: newest &- UInt32(truncatingIfNeeded: index))]
    }

    @inline(__always)
    private func slot(of number: UInt32) -> Int {
        Int(truncatingIfNeeded: number) & (ring.count &- 1)
    }

    @inline(__always)
    private func position(of entry: HPACKEntry) -> Int {
        Int(truncatingIfNeeded: entry.offset &- base)
    }

    /// Copies the first `count` bytes of an entry: its name, or its name and value.
    @inline(__always)
    func copy(_ entry: HPACKEntry, count: Int, to target: UnsafeMutableRawPointer) {
        storage.withUnsafeBytes { memory in
            guard let start = memory.baseAddress else { return }
            target.copyMemory(from: start + position(of: entry), byteCount: count)
        }
    }

    /// Whether the entry has this name.
    @inline(__always)
    func hasName(_ name: UnsafeRawBufferPointer, _ entry: HPACKEntry) -> Bool {
        guard entry.nameCount == name.count else { return false }
        guard let own = name.baseAddress else { return true }
        return storage.withUnsafeBytes { memory in
            guard let start = memory.baseAddress else { return false }
            return HPACKBytes.areEqual(start + position(of: entry), own, count: name.count)
        }
    }

    /// Whether the entry has this value.
    @inline(__always)
    func hasValue(_ value: UnsafeRawBufferPointer, _ entry: HPACKEntry) -> Bool {
        guard entry.valueCount == value.count else { return false }
        guard let own = value.baseAddress else { return true }
        return storage.withUnsafeBytes { memory in
            guard let start = memory.baseAddress else { return false }
            return HPACKBytes.areEqual(start + position(of: entry) + entry.nameCount, own, count: value.count)
        }
    }

    /// Whether an entry of `byteCount` bytes fits into the table after everything else is evicted.
    @inline(__always)
    func canHold(_ byteCount: Int) -> Bool {
        byteCount <= maximumSize &- HPACKEntry.overhead
    }

    /// Sets a new maximum size and evicts entries that exceed it (RFC 7541 §4.3).
    mutating func resize(to maximumSize: Int) {
        self.maximumSize = Self.bounded(maximumSize)
        evict(downTo: self.maximumSize)
    }

    /// Inserts an entry, after evicting as many entries as necessary. An entry that is larger than the table empties it
    /// (RFC 7541 §4.4).
    ///
    /// `name` and `value` must not point into this table.
    mutating func insert(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let byteCount = name.count &+ value.count
        guard canHold(byteCount) else {
            removeAll()
            return
        }
        evict(downTo: maximumSize &- HPACKEntry.overhead &- byteCount)
        makeRoom(for: byteCount)
        let entry = HPACKEntry(
            offset: base &+ UInt32(truncatingIfNeeded: end), nameLength: UInt32(truncatingIfNeeded: name.count),
            valueLength: UInt32(truncatingIfNeeded: value.count)
        )
        append(name)
        append(value)
        if count == ring.count { growRing() }
        newest &+= 1
        ring[slot(of: newest)] = entry
        count &+= 1
        size &+= entry.size
    }

    /// Evicts all entries.
    mutating func removeAll() {
        count = 0
        size = 0
        end = 0
    }

    private mutating func evict(downTo size: Int) {
        while self.size > size {
            self.size &-= entry(at: count &- 1).size
            count &-= 1
        }
    }

    @inline(__always)
    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        let position = end
        storage.withUnsafeMutableBytes { memory in
            guard let start = memory.baseAddress else { return }
            (start + position).copyMemory(from: source, byteCount: bytes.count)
        }
        end &+= bytes.count
    }

    @inline(__always)
    private mutating func makeRoom(for byteCount: Int) {
        if storage.count &- end < byteCount { moveToFront(makingRoomFor: byteCount) }
    }

    /// Moves the live bytes to the front of the array, or of a larger array if this one is too small.
    private mutating func moveToFront(makingRoomFor byteCount: Int) {
        let start = count > 0 ? position(of: entry(at: count - 1)) : end
        let live = end - start
        // Invariant: live + byteCount ≤ maximumSize, since both count against it.
        let capacity = min(2 * maximumSize, max(2 * (live + byteCount), 512))
        if storage.count < capacity {
            var larger = [UInt8](repeating: 0, count: capacity)
            larger.replaceSubrange(0..<live, with: storage[start..<end])
            storage = larger
        } else {
            storage.withUnsafeMutableBytes { memory in
                guard let first = memory.baseAddress else { return }
                first.copyMemory(from: first + start, byteCount: live)
            }
        }
        base &+= UInt32(truncatingIfNeeded: start)
        end = live
    }

    private mutating func growRing() {
        let none = HPACKEntry(offset: 0, nameLength: 0, valueLength: 0)
        var larger = [HPACKEntry](repeating: none, count: max(16, 2 * ring.count))
        for index in 0..<count {
            let number = newest &- UInt32(truncatingIfNeeded: index)
            larger[Int(truncatingIfNeeded: number) & (larger.count - 1)] = entry(at: index)
        }
        ring = larger
    }
}

extension HPACKDynamicTable {
    /// The bytes of an entry's name and value, for tests.
    func field(at index: Int) -> (name: [UInt8], value: [UInt8]) {
        let entry = self.entry(at: index)
        let start = position(of: entry)
        let middle = start + entry.nameCount
        return (Array(storage[start..<middle]), Array(storage[middle..<(middle + entry.valueCount)]))
    }
}
