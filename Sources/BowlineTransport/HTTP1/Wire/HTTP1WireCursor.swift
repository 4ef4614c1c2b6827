internal import BowlineCore

/// Writes checked text into memory that is large enough for it.
///
/// One cursor writes a whole head. A `ByteBuffer` would check its storage for each piece.
struct HTTP1WireCursor {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    @inline(__always)
    mutating func write(_ text: StaticString) {
        write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        // Invariant: the memory is large enough for all that is written. If it is not, stop before memory is damaged.
        precondition(bytes.count <= memory.count - count)
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
        count += bytes.count
    }

    @inline(__always)
    mutating func write(_ text: String) {
        text.withBytes { write($0) }
    }

    @inline(__always)
    mutating func writeLine(_ field: HTTPField) {
        writeName(of: field)
        writeValue(of: field)
        write("\r\n")
    }

    /// Writes a name with its colon and space.
    @inline(__always)
    mutating func writeName(of field: HTTPField) {
        write(field.name.rawName)
        write(": ")
    }

    @inline(__always)
    mutating func writeValue(of field: HTTPField) {
        field.withUnsafeBytesOfValue { write(UnsafeRawBufferPointer($0)) }
    }
}
