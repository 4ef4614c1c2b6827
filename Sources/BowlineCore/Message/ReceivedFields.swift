public import HTTPTypes
package import NIOCore
import Synchronization

/// The fields of a header or trailer section, kept as received bytes until a caller asks for values.
///
/// Lookups compare names on the bytes, without regard to case; only the value that is asked for becomes a `String`.
/// ``httpFields`` makes the whole collection, on first use, once for all copies. Copies share their bytes.
///
/// A value that is valid UTF-8 is decoded as such, any other as ISO-8859-1, so that no byte is lost (RFC 9110 §5.5
/// leaves bytes above 0x7F opaque). A value in ``httpFields`` keeps its bytes too, but its `value` replaces bytes that are not
/// UTF-8 by U+FFFD.
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

    /// Makes a section of fields that did not come as bytes: a stub's, or HTTP/2's.
    public init(_ fields: HTTPFields) {
        storage = fields.isEmpty ? .none : .made(fields)
    }

    /// Makes a section of the bytes that were received and where in them the fields are.
    ///
    /// - Parameters:
    ///   - bytes: the section; spans count from its reader index.
    ///   - spans: one for each field, in order; names are tokens, values trimmed and free of control characters but
    ///     HTAB.
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

    /// The value of a field, or nil if there is none of that name.
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

    /// The values of all lines of that name, in order; empty if there is none.
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

    /// Whether there is a line of that name.
    public func contains(_ name: HTTPField.Name) -> Bool {
        switch storage {
        case .none: false
        case .made(let fields): fields.contains(name)
        case .received(let section): section.contains(name)
        }
    }

    /// This section without the lines of these names: a new one over the same bytes.
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

    /// The fields as a collection: made on first use and shared by all copies of this value.
    public var httpFields: HTTPFields {
        switch storage {
        case .none: HTTPFields()
        case .made(let fields): fields
        case .received(let section): section.httpFields
        }
    }
}

extension ReceivedFields: Sequence {
    /// The field lines in the order and with the spelling in which they came.
    public func makeIterator() -> Iterator { Iterator(fields: self) }

    /// The number of field lines.
    public var underestimatedCount: Int { count }

    /// Goes over the field lines.
    public struct Iterator: IteratorProtocol, Sendable {
        private let fields: ReceivedFields
        private var position = 0

        init(fields: ReceivedFields) {
            self.fields = fields
        }

        /// The next field line in the order received; nil at the end.
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
    /// The number of fields and the first names, never a value.
    public var description: String {
        let names = prefix(16).map { String($0.name.prefix(40)) }
        return "\(count) fields [\(names.joined(separator: ", "))\(count > names.count ? ", …" : "")]"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
