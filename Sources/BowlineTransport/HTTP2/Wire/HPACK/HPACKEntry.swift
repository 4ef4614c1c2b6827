/// The position of a table's entry: its name, with its value directly behind.
struct HPACKEntry: Sendable {
    /// The size that each entry counts in addition to its bytes (RFC 7541 §4.1).
    static let overhead = 32

    var offset: UInt32
    var nameLength: UInt32
    var valueLength: UInt32

    @inline(__always)
    var nameCount: Int { Int(truncatingIfNeeded: nameLength) }

    @inline(__always)
    var valueCount: Int { Int(truncatingIfNeeded: valueLength) }

    /// The number of bytes of name and value.
    @inline(__always)
    var byteCount: Int { nameCount &+ valueCount }

    /// The entry's size as RFC 7541 §4.1 counts it.
    @inline(__always)
    var size: Int { byteCount &+ Self.overhead }
}
