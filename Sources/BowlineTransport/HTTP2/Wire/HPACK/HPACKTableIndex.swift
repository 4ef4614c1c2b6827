/// Finds entries of the encoder's table by name, or by name and value.
///
/// Entries in the same bucket form a chain from the newest to the oldest. Eviction needs no work: a chain ends at the
/// first number that the table no longer has. A look-up follows at most ``maximumSteps`` links. So colliding entries
/// make the compression worse, but cost no time.
struct HPACKTableIndex: Sendable {
    private struct Link {
        var fieldHash: UInt32
        var nameHash: UInt32
        /// The number of the next older entry in the same bucket.
        var olderField: UInt32
        var olderName: UInt32
    }

    private static let maximumSteps = 24

    /// A power of two, at least the largest number of entries that the table can have.
    private let slotCount: Int
    /// The link of each entry, at its number modulo `slotCount`.
    private var links: [Link] = []
    /// The newest entry of each bucket: first the buckets of fields, then those of names.
    private var heads: [UInt32] = []

    /// - Parameter maximumSize: The largest size that the table ever has.
    init(maximumSize: Int) {
        var slotCount = 16
        while slotCount < maximumSize / HPACKEntry.overhead { slotCount *= 2 }
        self.slotCount = slotCount
    }

    @inline(__always)
    private func slot(of hash: UInt32) -> Int {
        Int(truncatingIfNeeded: hash) & (slotCount &- 1)
    }

    /// Adds the table's newest entry.
    mutating func add(_ number: UInt32, fieldHash: UInt32, nameHash: UInt32) {
        if links.isEmpty {
            let none = Link(fieldHash: 0, nameHash: 0, olderField: 0, olderName: 0)
            links = [Link](repeating: none, count: slotCount)
            heads = [UInt32](repeating: 0, count: 2 * slotCount)
        }
        let fieldHead = slot(of: fieldHash)
        let nameHead = slotCount &+ slot(of: nameHash)
        links[slot(of: number)] = Link(
            fieldHash: fieldHash, nameHash: nameHash, olderField: heads[fieldHead], olderName: heads[nameHead])
        heads[fieldHead] = number
        heads[nameHead] = number
    }

    /// Returns the position of the newest entry with this name and value. nil: none was found.
    @inline(__always)
    func findField(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, hash: UInt32, in table: HPACKDynamicTable
    ) -> Int? {
        guard table.count > 0 else { return nil }
        var number = heads[slot(of: hash)]
        for _ in 0..<Self.maximumSteps {
            let index = table.newest &- number
            guard index < UInt32(truncatingIfNeeded: table.count) else { return nil }
            let link = links[slot(of: number)]
            if link.fieldHash == hash {
                let entry = table.entry(at: Int(index))
                if table.hasName(name, entry), table.hasValue(value, entry) { return Int(index) }
            }
            number = link.olderField
        }
        return nil
    }

    /// Returns the position of the newest entry with this name. nil: none was found.
    @inline(__always)
    func findName(_ name: UnsafeRawBufferPointer, hash: UInt32, in table: HPACKDynamicTable) -> Int? {
        guard table.count > 0 else { return nil }
        var number = heads[slotCount &+ slot(of: hash)]
        for _ in 0..<Self.maximumSteps {
            let index = table.newest &- number
            guard index < UInt32(truncatingIfNeeded: table.count) else { return nil }
            let link = links[slot(of: number)]
            if link.nameHash == hash, table.hasName(name, table.entry(at: Int(index))) { return Int(index) }
            number = link.olderName
        }
        return nil
    }
}
