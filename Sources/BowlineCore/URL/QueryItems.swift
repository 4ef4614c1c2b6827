/// Names and values in order, for a query (`?q=a%20b&limit=10`) or a form. A name may occur several times.
///
/// ```swift
/// let response = try await client.get("search", query: ["q": text, "limit": 10, "cursor": cursor])
/// ```
/// Names and values are plain text: they are percent-encoded once, when they are sent. nil values are left out. The
/// text of a value is its `description`. If the value's type conforms to ``ParameterValue``, the text is its
/// ``ParameterValue/parameterText``, for example the raw value of an enum.
public struct QueryItems: Sendable {
    /// A name with its value, or a name alone.
    public struct Item: Sendable, Hashable {
        /// The name, as plain text.
        public var name: String
        /// The value, as plain text; nil: only the name is sent, without `=`.
        public var value: String?

        /// Makes an item.
        public init(_ name: String, _ value: String?) {
            self.name = name
            self.value = value
        }
    }

    /// The items, in the order in which they are sent.
    public var items: [Item]

    /// Makes a list of items.
    public init(_ items: [Item] = []) {
        self.items = items
    }

    /// Whether there is no item.
    public var isEmpty: Bool { items.isEmpty }

    /// Appends an item; does nothing if the value is nil.
    public mutating func append(_ name: String, _ value: (any CustomStringConvertible & Sendable)?) {
        guard let value else { return }
        items.append(Item(name, Self.text(of: value)))
    }

    /// Appends an item for each value, for example `tag=a&tag=b`.
    public mutating func append(_ name: String, each values: some Sequence<some CustomStringConvertible>) {
        for value in values { items.append(Item(name, Self.text(of: value))) }
    }

    /// Appends a name without a value, for example `verbose` in `?verbose&limit=10`.
    public mutating func append(flag name: String) {
        items.append(Item(name, nil))
    }

    /// The value of the first item of this name. Setting a value replaces all items of this name; setting nil removes
    /// them.
    public subscript(_ name: String) -> (any CustomStringConvertible & Sendable)? {
        get { items.first { $0.name.hasBytes(of: name) }?.value }
        set {
            guard let newValue else { return items.removeAll { $0.name.hasBytes(of: name) } }
            let value = Self.text(of: newValue)
            guard let index = items.firstIndex(where: { $0.name.hasBytes(of: name) }) else {
                return append(name, value)
            }
            items[index].value = value
            let rest = items[(index + 1)...].filter { !$0.name.hasBytes(of: name) }
            items.replaceSubrange((index + 1)..., with: rest)
        }
    }
}

extension QueryItems: ExpressibleByDictionaryLiteral {
    /// Makes a list of items in the order in which they are written. Items whose value is nil are left out.
    public init(dictionaryLiteral elements: (String, (any CustomStringConvertible & Sendable)?)...) {
        self.init()
        for (name, value) in elements { append(name, value) }
    }
}

extension QueryItems {
    /// The items as a URL's query, without its `?`. Everything except unreserved characters is percent-encoded, a space
    /// as `%20` (RFC 3986 §3.4).
    public var percentEncoded: String {
        joined(PercentEncoding.queryValue)
    }

    /// The items as a form's body, `application/x-www-form-urlencoded`. A space becomes `+` (WHATWG URL §5.2).
    public var formEncoded: String {
        joined(PercentEncoding.formValue)
    }

    private func joined(_ encode: (String) -> String) -> String {
        var text = ""
        for item in items {
            if !text.isEmpty { text += "&" }
            text += encode(item.name)
            if let value = item.value { text += "=" + encode(value) }
        }
        return text
    }

    /// Returns `reference` with these items appended to its query. A fragment is dropped.
    package func appended(to reference: String) -> String {
        guard !isEmpty else { return reference }
        var text = String(decoding: reference.utf8.prefix { $0 != UInt8(ascii: "#") }, as: UTF8.self)
        if !text.utf8.contains(UInt8(ascii: "?")) {
            text += "?"
        } else if text.utf8.last != UInt8(ascii: "?"), text.utf8.last != UInt8(ascii: "&") {
            text += "&"
        }
        return text + percentEncoded
    }
}

extension QueryItems: CustomStringConvertible, CustomReflectable {
    /// The names only, because a value may be a secret.
    public var description: String { "QueryItems(\(items.map(\.name).joined(separator: ", ")))" }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension QueryItems.Item: CustomStringConvertible, CustomReflectable {
    /// The name only, because the value may be a secret.
    public var description: String { name }

    public var customMirror: Mirror { Mirror(self, children: ["name": name]) }
}
