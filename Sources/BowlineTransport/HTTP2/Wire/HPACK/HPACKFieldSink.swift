internal import BowlineCore

/// Receives the fields of a section while it is decoded. Stores the fields within the limits, and counts the others.
struct HPACKFieldSink {
    private let limits: HPACKLimits
    private(set) var spans: [ReceivedFields.Span] = []
    private(set) var listSize = 0
    private(set) var isTooLarge = false
    /// The size of the field that did not fit into the memory, in bytes. 0: all fields fit.
    private(set) var shortage = 0

    // The memory that fields are written to now, and its offset in the section's bytes.
    private var memory: UnsafeMutableRawPointer?
    private var capacity = 0
    private var offset = 0
    /// How many bytes of this memory were written.
    private(set) var written = 0

    init(limits: HPACKLimits, expectedFields: Int) {
        self.limits = limits
        spans.reserveCapacity(expectedFields)
    }

    /// Continues in other memory.
    mutating func begin(_ memory: UnsafeMutableRawBufferPointer, offset: Int) {
        self.memory = memory.baseAddress
        self.offset = offset
        capacity = memory.count
        written = 0
        shortage = 0
    }

    /// Whether a field of `byteCount` bytes is within the limits.
    @inline(__always)
    func accepts(_ byteCount: Int) -> Bool {
        !isTooLarge && spans.count < limits.maximumFields
            && byteCount <= limits.maximumListSize &- HPACKEntry.overhead &- listSize
    }

    /// Returns where to write the next field. nil: its bytes do not fit into the memory; only `shortage` was changed.
    @inline(__always)
    mutating func room(for byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount <= capacity &- written, let memory else {
            shortage = max(byteCount, 1)
            return nil
        }
        return memory + written
    }

    /// Adds the field that the caller has written to the memory from ``room(for:)``: the name, and the value directly
    /// after it.
    @inline(__always)
    mutating func store(nameCount: Int, valueCount: Int) {
        let start = UInt32(truncatingIfNeeded: offset &+ written)
        let middle = start &+ UInt32(truncatingIfNeeded: nameCount)
        let end = middle &+ UInt32(truncatingIfNeeded: valueCount)
        spans.append(ReceivedFields.Span(nameStart: start, nameEnd: middle, valueStart: middle, valueEnd: end))
        written &+= nameCount &+ valueCount
        listSize &+= nameCount &+ valueCount &+ HPACKEntry.overhead
    }

    /// Counts a field that is beyond the limits. No later field is stored.
    mutating func skip(_ byteCount: Int) {
        isTooLarge = true
        let (sum, isOver) = listSize.addingReportingOverflow(byteCount + HPACKEntry.overhead)
        listSize = isOver ? Int.max : sum
    }
}
