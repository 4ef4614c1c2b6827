import HTTPTypes
import NIOCore

extension ReceivedFields {
    /// The position of a field line, in bytes from the start of its section.
    package struct Span: Sendable {
        package var nameStart: UInt32
        package var nameEnd: UInt32
        package var valueStart: UInt32
        package var valueEnd: UInt32

        package init(nameStart: UInt32, nameEnd: UInt32, valueStart: UInt32, valueEnd: UInt32) {
            self.nameStart = nameStart
            self.nameEnd = nameEnd
            self.valueStart = valueStart
            self.valueEnd = valueEnd
        }
    }

    /// The bytes of a section, and the `HTTPFields` made from them. All copies of the section share both.
    final class Section: Sendable {
        let bytes: ByteBuffer
        let spans: [Span]
        private let made = Guarded<HTTPFields?>(nil)

        init(bytes: ByteBuffer, spans: [Span]) {
            self.bytes = bytes
            self.spans = spans
        }

        var httpFields: HTTPFields {
            made.withLock { made in
                if let made { return made }
                var fields = HTTPFields()
                fields.reserveCapacity(spans.count)
                bytes.withUnsafeReadableBytes { bytes in
                    for span in spans {
                        guard let name = HTTPField.Name(Self.text(bytes.slice(span.nameStart, span.nameEnd))) else {
                            continue
                        }
                        fields.append(HTTPField(name: name, value: bytes.slice(span.valueStart, span.valueEnd)))
                    }
                }
                made = fields
                return fields
            }
        }

        func field(at index: Int) -> (name: String, value: String) {
            let span = spans[index]
            return bytes.withUnsafeReadableBytes { bytes in
                (
                    Self.text(bytes.slice(span.nameStart, span.nameEnd)),
                    Self.text(bytes.slice(span.valueStart, span.valueEnd))
                )
            }
        }

        /// Returns the spans of all lines except the lines with one of these names.
        func spans(without names: [HTTPField.Name]) -> [Span] {
            bytes.withUnsafeReadableBytes { bytes in
                spans.filter { span in
                    let own = bytes.slice(span.nameStart, span.nameEnd)
                    return !names.contains { name in
                        name.canonicalName.withBytes { own.equals(lowercased: $0) }
                    }
                }
            }
        }

        func contains(_ name: HTTPField.Name) -> Bool {
            withValues(of: name) { _ in true } ?? false
        }

        func forEachValue(of name: HTTPField.Name, _ body: (String) -> Void) {
            _ = withValues(of: name) { value -> Never? in
                body(Self.text(value))
                return nil
            }
        }

        /// Calls `body` with one value of a name after another until `body` returns a result. Returns this result; nil:
        /// `body` returned none.
        private func withValues<Result>(
            of name: HTTPField.Name, _ body: (UnsafeRawBufferPointer) -> Result?
        ) -> Result? {
            name.canonicalName.withBytes { withValues(ofLowercased: $0, body) }
        }

        /// Calls `body` with one value of a name after another until `body` returns a result. Returns this result; nil:
        /// `body` returned none.
        func withValues<Result>(
            ofLowercased name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result?
        ) -> Result? {
            bytes.withUnsafeReadableBytes { bytes in
                for span in spans where Int(span.nameEnd - span.nameStart) == name.count {
                    guard bytes.slice(span.nameStart, span.nameEnd).equals(lowercased: name) else { continue }
                    if let result = body(bytes.slice(span.valueStart, span.valueEnd)) { return result }
                }
                return nil
            }
        }

        static func text(_ bytes: UnsafeRawBufferPointer) -> String {
            if let text = String(validating: bytes, as: UTF8.self) { return text }
            var text = String.UnicodeScalarView()
            text.append(contentsOf: bytes.lazy.map { Unicode.Scalar($0) })
            return String(text)
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func slice(_ start: UInt32, _ end: UInt32) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[Int(start)..<Int(end)])
    }
}
