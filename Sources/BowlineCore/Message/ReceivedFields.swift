public import HTTPTypes
package import NIOCore
import Synchronization

/// The fields of a header or trailer section, kept as received bytes until a caller reads values.
///
/// Lookups compare the bytes of names, without regard to case. Only the value that is read becomes a `String`.
/// ``httpFields`` makes the whole collection on first use, once for all copies. Copies share their bytes.
///
/// A value is decoded as UTF-8 if it is valid UTF-8, else as ISO-8859-1, so that no byte is lost (RFC 9110 §5.5 leaves
/// bytes above 0x7F opaque). A field in ``httpFields`` keeps its bytes too, but its `value` contains U+FFFD instead of
/// bytes that are not UTF-8.
public struct ReceivedFields: Sendable {
    enum Storage: Sendable {
        case none
        case received(Section)
        case made(HTTPFields)
    }

    let storage: Storage

    /// Makes an empty section.
    public init() {
        storage = .none
    }

    /// Makes a section from fields that were not received as bytes, for example from a stub or over HTTP/2.
    public init(_ fields: HTTPFields) {
        storage = fields.isEmpty ? .none : .made(fields)
    }

    /// Makes a section from received bytes and the positions of the fields in them.
    ///
    /// - Parameters:
    ///   - bytes: The section. Spans count from its reader index.
    ///   - spans: One for each field, in order. Names must be tokens. Values must be trimmed, without control
    ///     characters except HTAB.
    package init(bytes: ByteBuffer, spans: [Span]) {
        storage = spans.isEmpty ? .none : .received(Section(bytes: bytes, spans: spans))
    }

    /// The number of field lines.
    public var count: Int {
        switch storage {
        case .none: 0
        case .received(let section): section.spans.count
        case .made(let fields): fields.count
        }
    }

    /// Whether there is no field.
    public var isEmpty: Bool { count == 0 }

    /// The value of a field; nil: there is no field of this name.
    ///
    /// Several lines of one name are joined as `HTTPFields` does: by `", "`, or by `"; "` for `Cookie` (RFC 9110 §5.3).
    /// For `Set-Cookie`, which must not be joined, use ``values(for:)``.
    public subscript(_ name: HTTPField.Name) -> String? {
        switch storage {
        case .none: return nil
        case .made(let fields): return fields[name]
        case .received(let section):
            var joined: String?
            section.forEachValue(of: name) { value in
                if let before = joined {
                    joined = before + (name == .cookie ? "; " : ", ") + value
                } else {
                    joined = value
                }
            }
            return joined
        }
    }

    /// Returns the values of all lines of this name, in order; empty if there is none.
    public func values(for name: HTTPField.Name) -> [String] {
        switch storage {
        case .none: return []
        case .made(let fields): return fields[values: name]
        case .received(let section):
            var values: [String] = []
            section.forEachValue(of: name) { values.append($0) }
            return values
        }
    }

    /// Whether there is a line of this name.
    public func contains(_ name: HTTPField.Name) -> Bool {
        switch storage {
        case .none: false
        case .made(let fields): fields.contains(name)
        case .received(let section): section.contains(name)
        }
    }

    /// Returns this section without the lines of these names. The result shares the bytes of this section.
    package func removing(_ names: HTTPField.Name...) -> ReceivedFields {
        switch storage {
        case .none: return self
        case .received(let section):
            return ReceivedFields(bytes: section.bytes, spans: section.spans(without: names))
        case .made(var fields):
            for name in names { fields[name] = nil }
            return ReceivedFields(fields)
        }
    }

    /// The fields as a collection. It is made on first use and shared by all copies of this value.
    public var httpFields: HTTPFields {
        switch storage {
        case .none: HTTPFields()
        case .made(let fields): fields
        case .received(let section): section.httpFields
        }
    }
}

extension ReceivedFields: Sequence {
    /// Iterates over the field lines, in the order and spelling in which they were received.
    public func makeIterator() -> Iterator { Iterator(fields: self) }

    /// The number of field lines.
    public var underestimatedCount: Int { count }

    /// An iterator over the field lines.
    public struct Iterator: IteratorProtocol, Sendable {
        private let fields: ReceivedFields
        private var position = 0

        init(fields: ReceivedFields) {
            self.fields = fields
        }

        /// Returns the next field line in the order received; nil at the end.
        public mutating func next() -> (name: String, value: String)? {
            guard position < fields.count else { return nil }
            defer { position += 1 }
            switch fields.storage {
            case .none: return nil
            case .received(let section): return section.field(at: position)
            case .made(let made):
                let field = made[made.index(made.startIndex, offsetBy: position)]
                return (field.name.rawName, field.value)
            }
        }
    }
}

extension ReceivedFields: CustomStringConvertible, CustomReflectable {
    /// The number of fields and the first names. Contains no value.
    public var description: String {
        let names = prefix(16).map { String($0.name.prefix(40)) }
        return "\(count) fields [\(names.joined(separator: ", "))\(count > names.count ? ", …" : "")]"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
