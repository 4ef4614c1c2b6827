internal import BowlineCore

/// Writes text, which has been checked, into memory that was measured for it.
///
/// One of these writes a whole head: a `ByteBuffer` asked for each piece would check its storage as often.
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
        // Invariant: the memory was measured for all that is written; if that were wrong, stop before harm is done.
        precondition(bytes.count <= memory.count - count)
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: bytes)
        count += bytes.count
    }

    @inline(__always)
    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
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
