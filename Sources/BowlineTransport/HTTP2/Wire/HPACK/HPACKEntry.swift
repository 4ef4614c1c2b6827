/// Where an entry of a table is: its name, and directly behind it its value.
struct HPACKEntry: Sendable {
    /// RFC 7541 §4.1: what each entry counts besides its bytes.
    static let overhead = 32

    var offset: UInt32
    var nameLength: UInt32
    var valueLength: UInt32

    @inline(__always)
    var nameCount: Int { Int(truncatingIfNeeded: nameLength) }

    @inline(__always)
    var valueCount: Int { Int(truncatingIfNeeded: valueLength) }

    /// The bytes of name and value.
    @inline(__always)
    var byteCount: Int { nameCount &+ valueCount }

    /// RFC 7541 §4.1.
    @inline(__always)
    var size: Int { byteCount &+ Self.overhead }
}
