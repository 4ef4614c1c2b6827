/// Writes integers and strings into memory that has room for them (RFC 7541 §5).
package struct HPACKWriter {
    /// An upper bound of the bytes that the integers of a field take.
    package static let integerRoom = 32

    private let base: UnsafeMutableRawPointer
    /// How many bytes were written.
    package private(set) var count = 0

    @inline(__always)
    package init(_ base: UnsafeMutableRawPointer) {
        self.base = base
    }

    @inline(__always)
    private mutating func write(_ byte: UInt8) {
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// Writes an integer after the bits of `pattern`, with `prefix` bits in the first byte (RFC 7541 §5.1).
    @inline(__always)
    package mutating func write(_ value: Int, prefix: Int, pattern: UInt8) {
        let mask = (1 &<< prefix) &- 1
        guard value >= mask else {
            write(pattern | UInt8(truncatingIfNeeded: value))
            return
        }
        write(pattern | UInt8(truncatingIfNeeded: mask))
        writeContinuation(value &- mask)
    }

    private mutating func writeContinuation(_ value: Int) {
        var rest = value
        while rest >= 128 {
            write(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest &>>= 7
        }
        write(UInt8(truncatingIfNeeded: rest))
    }

    /// Writes a string in the Huffman code if that is shorter, else as it is (RFC 7541 §5.2).
    ///
    /// - Parameter huffman: nil: the string is written as it is.
    @inline(__always)
    mutating func write(_ text: UnsafeRawBufferPointer, huffman: HPACKHuffman?) {
        if let huffman {
            let encodedCount = huffman.encodedCount(of: text)
            if encodedCount < text.count {
                write(encodedCount, prefix: 7, pattern: 0x80)
                huffman.encode(text, into: base + count)
                count &+= encodedCount
                return
            }
        }
        write(text.count, prefix: 7, pattern: 0)
        if let start = text.baseAddress {
            (base + count).copyMemory(from: start, byteCount: text.count)
            count &+= text.count
        }
    }
}
