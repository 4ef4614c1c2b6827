import BowlineTransport
import NIOCore

/// A field as bytes.
struct HPACKTestField: Hashable, Sendable, CustomStringConvertible {
    var name: [UInt8]
    var value: [UInt8]

    init(_ name: [UInt8], _ value: [UInt8]) {
        self.name = name
        self.value = value
    }

    init(_ name: String, _ value: String) {
        self.init(Array(name.utf8), Array(value.utf8))
    }

    /// RFC 7541 §4.1.
    var size: Int { name.count + value.count + 32 }
    var description: String {
        "\(String(decoding: name, as: UTF8.self)): \(String(decoding: value, as: UTF8.self))"
    }
}

/// Section bytes written without the code under test.
enum HPACKTestBytes {
    /// The bytes of a hexadecimal text; spaces do not count.
    static func hex(_ text: String) -> [UInt8] {
        let digits = text.utf8.filter { $0 != 0x20 }.map { $0 > 0x39 ? $0 - 0x57 : $0 - 0x30 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// RFC 7541 §5.1.
    static func integer(_ value: Int, prefix: Int, pattern: UInt8 = 0) -> [UInt8] {
        let mask = (1 << prefix) - 1
        if value < mask { return [pattern | UInt8(value)] }
        var bytes = [pattern | UInt8(mask)]
        var rest = value - mask
        while rest >= 128 {
            bytes.append(UInt8(rest % 128) + 128)
            rest /= 128
        }
        return bytes + [UInt8(rest)]
    }

    /// A string without the Huffman code (RFC 7541 §5.2).
    static func text(_ bytes: [UInt8]) -> [UInt8] { integer(bytes.count, prefix: 7) + bytes }

    /// A literal that enters the table (RFC 7541 §6.2.1).
    static func inserted(_ field: HPACKTestField) -> [UInt8] { [0x40] + text(field.name) + text(field.value) }

    /// A literal that enters the table, its name at an index.
    static func inserted(nameAt index: Int, _ value: [UInt8]) -> [UInt8] {
        integer(index, prefix: 6, pattern: 0x40) + text(value)
    }

    /// RFC 7541 §6.1.
    static func indexed(_ index: Int) -> [UInt8] { integer(index, prefix: 7, pattern: 0x80) }

    /// RFC 7541 §6.3.
    static func sizeUpdate(_ size: Int) -> [UInt8] { integer(size, prefix: 5, pattern: 0x20) }
}

extension HPACKSectionDecoder {
    mutating func section(
        _ bytes: [UInt8], limits: HPACKLimits = HPACKLimits()
    ) throws(HPACKError) -> HPACKFields {
        // What stands before the section in its buffer must not matter.
        var block = ByteBuffer(bytes: [0xAA, 0xBB] + bytes)
        block.moveReaderIndex(forwardBy: 2)
        return try decode(block, limits: limits, allocator: ByteBufferAllocator())
    }

    mutating func testFields(_ bytes: [UInt8]) throws(HPACKError) -> [HPACKTestField] {
        try section(bytes).testFields
    }

    /// From the newest entry to the oldest.
    var testTable: [HPACKTestField] {
        (0..<tableCount).map { position in
            let field = tableField(at: position)
            return HPACKTestField(field.name, field.value)
        }
    }
}

extension HPACKSectionEncoder {
    mutating func section(_ fields: [HPACKTestField], _ indexing: HPACKIndexing = .automatic) -> [UInt8] {
        var buffer = ByteBuffer()
        begin(into: &buffer)
        for field in fields { append(field, indexing, to: &buffer) }
        return Array(buffer.readableBytesView)
    }

    mutating func append(_ field: HPACKTestField, _ indexing: HPACKIndexing, to buffer: inout ByteBuffer) {
        field.name.withUnsafeBytes { name in
            field.value.withUnsafeBytes { value in
                encode(name: name, value: value, indexing: indexing, into: &buffer)
            }
        }
    }

    /// From the newest entry to the oldest.
    var testTable: [HPACKTestField] {
        (0..<tableCount).map { position in
            let field = tableField(at: position)
            return HPACKTestField(field.name, field.value)
        }
    }
}

extension HPACKFields {
    var testFields: [HPACKTestField] {
        spans.indices.map { index in
            HPACKTestField(
                withBytes(ofNameAt: index) { Array($0) }, withBytes(ofValueAt: index) { Array($0) })
        }
    }
}
