/// Reads the integers and strings of a section, one after the other (RFC 7541 §5).
package struct HPACKReader {
    /// A string as it is encoded in the section.
    struct Text {
        var bytes: UnsafeRawBufferPointer
        var isHuffman: Bool

        /// An upper bound of the decoded string's bytes: the shortest code has five bits.
        @inline(__always)
        var maximumCount: Int { isHuffman ? bytes.count / 5 &* 8 &+ 8 : bytes.count }
    }

    static let maximumInteger: UInt64 = 0x7FFF_FFFF

    let bytes: UnsafeRawBufferPointer
    package var position = 0

    @inline(__always)
    package init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    @inline(__always)
    var isAtEnd: Bool { position >= bytes.count }

    /// The next byte. There must be one.
    @inline(__always)
    var next: UInt8 { bytes[position] }

    /// Reads an integer that has `prefix` bits in its first byte (RFC 7541 §5.1). There must be a first byte.
    @inline(__always)
    package mutating func integer(prefix: Int) throws(HPACKError) -> Int {
        let mask = (1 &<< prefix) &- 1
        let value = Int(next) & mask
        position &+= 1
        guard value == mask else { return value }
        return try continuation(of: value)
    }

    private mutating func continuation(of prefix: Int) throws(HPACKError) -> Int {
        var value = UInt64(truncatingIfNeeded: prefix)
        var shift: UInt64 = 0
        while true {
            guard position < bytes.count else { throw HPACKError.truncated }
            guard shift <= 28 else { throw HPACKError.integerTooLarge }
            let byte = bytes[position]
            position &+= 1
            value &+= UInt64(byte & 0x7F) &<< shift
            guard value <= Self.maximumInteger else { throw HPACKError.integerTooLarge }
            guard byte & 0x80 != 0 else { return Int(truncatingIfNeeded: value) }
            shift &+= 7
        }
    }

    /// Reads a string without decoding it (RFC 7541 §5.2).
    @inline(__always)
    mutating func text() throws(HPACKError) -> Text {
        guard position < bytes.count else { throw HPACKError.truncated }
        let isHuffman = next & 0x80 != 0
        let count = try integer(prefix: 7)
        guard count <= bytes.count &- position else { throw HPACKError.truncated }
        let start = position
        position &+= count
        return Text(bytes: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), isHuffman: isHuffman)
    }
}
