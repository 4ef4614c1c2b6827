package import BowlineCore
package import NIOCore

/// The fields of one section, with all names and values in one buffer that the decoder wrote.
package struct HPACKFields: Sendable {
    /// The names and values. Index 0 is the first byte of the first name.
    package internal(set) var bytes: ByteBuffer
    /// The position of each stored field, pseudo-fields included, in order of arrival.
    package internal(set) var spans: [ReceivedFields.Span]
    /// The bytes of names and values plus 32 for each field (RFC 9113 §6.5.2). It counts all fields, stored or not.
    package internal(set) var listSize: Int
    /// Whether the section exceeds the limits. The first field beyond the limits and all later fields were decoded, to
    /// keep the table correct, but not stored.
    package internal(set) var isTooLarge: Bool

    /// Makes a section without fields.
    package init() {
        self.init(bytes: ByteBuffer(), spans: [], listSize: 0, isTooLarge: false)
    }

    init(bytes: ByteBuffer, spans: [ReceivedFields.Span], listSize: Int, isTooLarge: Bool) {
        self.bytes = bytes
        self.spans = spans
        self.listSize = listSize
        self.isTooLarge = isTooLarge
    }

    /// The name as text; bytes that are not UTF-8 are replaced by U+FFFD.
    package func name(at index: Int) -> String {
        withBytes(ofNameAt: index) { String(decoding: $0, as: UTF8.self) }
    }

    /// The value as text; bytes that are not UTF-8 are replaced by U+FFFD.
    package func value(at index: Int) -> String {
        withBytes(ofValueAt: index) { String(decoding: $0, as: UTF8.self) }
    }

    /// Runs `body` over the bytes of a name. The bytes are valid only within `body`.
    package func withBytes<R>(ofNameAt index: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let span = spans[index]
        return withBytes(Int(span.nameStart)..<Int(span.nameEnd), body)
    }

    /// Runs `body` over the bytes of a value. The bytes are valid only within `body`.
    package func withBytes<R>(ofValueAt index: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let span = spans[index]
        return withBytes(Int(span.valueStart)..<Int(span.valueEnd), body)
    }

    private func withBytes<R>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        bytes.withUnsafeReadableBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}
