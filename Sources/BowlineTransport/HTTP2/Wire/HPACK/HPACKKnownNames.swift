/// Finds what the encoder knows about a name: its indices in the static table, and its ``HPACKIndexingHabit``.
// Safety: the memory is filled before `shared` exists; it is neither changed nor freed after that.
struct HPACKKnownNames: @unchecked Sendable {
    /// The names, which are never freed. A copy of this value costs no reference count.
    static let shared = HPACKKnownNames()

    /// The knowledge of a name. The indices are 0 if the static table does not have the name.
    struct Knowledge {
        var firstIndex: Int
        var lastIndex: Int
        var habit: HPACKIndexingHabit
    }

    private struct Known {
        var name: StaticString
        var firstIndex: UInt8 = 0
        var lastIndex: UInt8 = 0
        var habit = HPACKIndexingHabit.repeats
    }

    private struct Name {
        /// Never freed, like every literal.
        var bytes: UnsafeRawPointer
        var count: UInt8
        var firstIndex: UInt8
        var lastIndex: UInt8
        var habit: HPACKIndexingHabit
    }

    /// More than twice the number of names, so that a look-up mostly ends at the first or second slot.
    private static let slotCount = 256

    private let names: UnsafePointer<Name>
    /// The number of a name, from 1, at the slot of its hash, or at the next free slot. 0: the slot is free.
    private let slots: UnsafePointer<UInt8>

    private init() {
        let known = Self.known()
        let names = UnsafeMutablePointer<Name>.allocate(capacity: known.count)
        let slots = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.slotCount)
        slots.initialize(repeating: 0, count: Self.slotCount)
        for (position, known) in known.enumerated() {
            // A literal of more than one character is stored as bytes.
            let bytes = UnsafeRawBufferPointer(start: known.name.utf8Start, count: known.name.utf8CodeUnitCount)
            (names + position).initialize(
                to: Name(
                    bytes: UnsafeRawPointer(known.name.utf8Start), count: UInt8(bytes.count),
                    firstIndex: known.firstIndex, lastIndex: known.lastIndex, habit: known.habit
                ))
            var slot = Self.slot(of: HPACKBytes.hash(bytes))
            while slots[slot] != 0 { slot = (slot + 1) % Self.slotCount }
            slots[slot] = UInt8(position + 1)
        }
        self.names = UnsafePointer(names)
        self.slots = UnsafePointer(slots)
    }

    private static func known() -> [Known] {
        var known: [Known] = []
        func place(of name: StaticString) -> Int {
            if let position = known.firstIndex(where: { $0.name.description == name.description }) { return position }
            known.append(Known(name: name))
            return known.count - 1
        }
        for (index, field) in HPACKStaticTable.fields.enumerated() {
            let position = place(of: field.name)
            if known[position].firstIndex == 0 { known[position].firstIndex = UInt8(index + 1) }
            known[position].lastIndex = UInt8(index + 1)
        }
        for name in HPACKIndexingHabit.changingNames { known[place(of: name)].habit = .changes }
        for name in HPACKIndexingHabit.secretNames { known[place(of: name)].habit = .secret }
        return known
    }

    @inline(__always)
    private static func slot(of hash: UInt64) -> Int {
        Int(truncatingIfNeeded: hash) & (slotCount &- 1)
    }

    /// - Parameter hash: The hash of the name, from ``HPACKBytes/hash(_:seed:)`` without a seed.
    @inline(__always)
    func find(_ name: UnsafeRawBufferPointer, hash: UInt64) -> Knowledge {
        var slot = Self.slot(of: hash)
        // Invariant: there are fewer names than slots, so the loop reaches an empty slot.
        while slots[slot] != 0 {
            let known = names + Int(slots[slot] &- 1)
            if Int(known.pointee.count) == name.count, let start = name.baseAddress,
                HPACKBytes.areEqual(known.pointee.bytes, start, count: name.count)
            {
                return Knowledge(
                    firstIndex: Int(known.pointee.firstIndex), lastIndex: Int(known.pointee.lastIndex),
                    habit: known.pointee.habit
                )
            }
            slot = (slot &+ 1) & (Self.slotCount &- 1)
        }
        return Knowledge(firstIndex: 0, lastIndex: 0, habit: .repeats)
    }
}
