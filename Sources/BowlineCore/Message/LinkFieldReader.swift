/// A reader of the value of a `Link` field (RFC 8288 §3). It applies the algorithms of appendix B.2 and B.3 in one
/// pass.
package struct LinkFieldReader {
    /// The maximum number of links of a response that are read. A service needs only a few links for its pages.
    package static let maximumLinks = 256
    /// The maximum number of parameters of a link that are kept. Further parameters are skipped.
    private static let maximumParameters = 32

    /// One link as the field contains it: the target is not resolved.
    private struct Element {
        let target: [UInt8]
        let parameters: [WebLink.Parameter]
    }

    private let bytes: [UInt8]
    private var position = 0

    private init(_ value: UnsafeRawBufferPointer) {
        bytes = Array(value)
    }

    /// Returns the links that have a relation and a target that can be requested.
    ///
    /// - Parameter url: The URL of the response; nil: unknown.
    package static func links(in fields: ReceivedFields, at url: ServiceURL?) -> [WebLink] {
        var links: [WebLink] = []
        var read = 0
        fields.forEachValue(of: "link") { value in
            guard read < maximumLinks else { return }
            var reader = LinkFieldReader(value)
            while read < maximumLinks, let element = reader.next() {
                read += 1
                if let link = link(element, at: url) { links.append(link) }
            }
        }
        return links
    }

    /// Returns the next link; nil at the end, or at a syntax error.
    private mutating func next() -> Element? {
        // Empty elements of a list are skipped (RFC 9110 §5.6.1.2).
        skip { Self.isSpace($0) || $0 == UInt8(ascii: ",") }
        guard take(UInt8(ascii: "<")) else { return nil }
        let target = takeWhile { $0 != UInt8(ascii: ">") }
        guard take(UInt8(ascii: ">")) else { return nil }
        return Element(target: Array(target), parameters: readParameters())
    }

    private mutating func readParameters() -> [WebLink.Parameter] {
        var parameters: [WebLink.Parameter] = []
        while true {
            skip(Self.isSpace)
            guard take(UInt8(ascii: ";")) else { return parameters }
            skip(Self.isSpace)
            let name = takeWhile { !Self.isSpace($0) && !Self.endsName($0) }
            skip(Self.isSpace)
            let value = take(UInt8(ascii: "=")) ? readValue() : []
            if !name.isEmpty, parameters.count < Self.maximumParameters {
                parameters.append(WebLink.Parameter(name: Self.text(name).lowercased(), value: Self.text(value)))
            }
        }
    }

    private mutating func readValue() -> [UInt8] {
        skip(Self.isSpace)
        guard take(UInt8(ascii: "\"")) else {
            var value = takeWhile { !Self.endsValue($0) }
            while let last = value.last, Self.isSpace(last) { value.removeLast() }
            return Array(value)
        }
        var value: [UInt8] = []
        while position < bytes.count, !take(UInt8(ascii: "\"")) {
            // A backslash escapes the byte after it (RFC 9110 §5.6.4).
            if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count { position += 1 }
            value.append(bytes[position])
            position += 1
        }
        return value
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func takeWhile(_ isPart: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let start = position
        skip(isPart)
        return bytes[start..<position]
    }

    private mutating func skip(_ isSkipped: (UInt8) -> Bool) {
        while position < bytes.count, isSkipped(bytes[position]) { position += 1 }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private static func endsValue(_ byte: UInt8) -> Bool { byte == UInt8(ascii: ";") || byte == UInt8(ascii: ",") }

    private static func endsName(_ byte: UInt8) -> Bool { endsValue(byte) || byte == UInt8(ascii: "=") }

    private static func text(_ bytes: some Collection<UInt8>) -> String {
        Array(bytes).withUnsafeBytes { ReceivedFields.Section.text($0) }
    }

    private static func link(_ element: Element, at url: ServiceURL?) -> WebLink? {
        guard let relation = element.parameters.first(where: { $0.name == "rel" })?.value else { return nil }
        let relations = relation.lowercased().utf8.split(whereSeparator: Self.isSpace).map { String(Substring($0)) }
        guard !relations.isEmpty, let target = target(element.target, at: url) else { return nil }
        // As with redirects, a response must not lead to a Unix domain socket of this machine, unless it came from the
        // same socket.
        guard target.origin.socketPath == nil || target.origin == url?.origin else { return nil }
        return WebLink(target: target, relations: relations, parameters: element.parameters)
    }

    /// Returns the target, resolved against `url`; nil: the target is not valid or is too long. Bytes above 0x7F are
    /// percent-encoded unchanged, because they need not be UTF-8.
    private static func target(_ bytes: [UInt8], at url: ServiceURL?) -> ServiceURL? {
        guard bytes.count <= ServiceURL.maximumLocationBytes, !ServiceURL.hasLostBytes(bytes) else { return nil }
        var text = ""
        for byte in bytes {
            let scalar = String(Unicode.Scalar(byte))
            text += byte < 0x80 ? scalar : "%" + String(byte, radix: 16, uppercase: true)
        }
        if let url { return try? url.resolving(text) }
        return try? ServiceURL(text)
    }
}
