internal import BowlineCore

/// Writes text into memory that was measured for it, checking it on the way.
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

    /// Writes a text if its bytes pass; returns whether they do.
    @inline(__always)
    mutating func write(_ text: String, if isValid: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var text = text
        return text.withUTF8 { bytes in
            let bytes = UnsafeRawBufferPointer(bytes)
            guard isValid(bytes) else { return false }
            write(bytes)
            return true
        }
    }

    mutating func writeLine(_ field: HTTPField) throws(HTTP1RequestError) {
        try writeName(of: field)
        try writeValue(of: field)
        write("\r\n")
    }

    /// Writes a name with its colon and space.
    mutating func writeName(of field: HTTPField) throws(HTTP1RequestError) {
        guard write(field.name.rawName, if: Self.isToken) else {
            throw HTTP1RequestError(.invalidFieldName, fieldName: field.name.rawName)
        }
        write(": ")
    }

    mutating func writeValue(of field: HTTPField) throws(HTTP1RequestError) {
        let isValid = field.withUnsafeBytesOfValue { bytes in
            let bytes = UnsafeRawBufferPointer(bytes)
            guard HTTP1Grammar.endOfText(in: bytes, from: 0) == bytes.count else { return false }
            write(bytes)
            return true
        }
        guard isValid else { throw HTTP1RequestError(.invalidFieldValue, fieldName: field.name.rawName) }
    }

    /// The bytes that a line takes, its colon, space and end included.
    static func length(of field: HTTPField) -> Int {
        field.name.rawName.utf8.count + field.withUnsafeBytesOfValue { $0.count } + 4
    }

    /// A token: never empty (RFC 9110 §5.6.2).
    static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && HTTP1Grammar.endOfToken(in: bytes, from: 0) == bytes.count
    }
}
