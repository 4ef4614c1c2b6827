/// Functions that read the media type in a `Content-Type` field (RFC 9110 §8.3.1).
package enum MediaType {
    /// Returns the media type in lower case, without parameters: `text/html` for `Text/HTML; charset=utf-8`. nil: the
    /// media type does not have the form `token/token`, or is longer than 128 bytes.
    package static func name(of contentType: String) -> String? {
        let type = contentType.utf8.prefix { $0 != UInt8(ascii: ";") }
        guard let first = type.firstIndex(where: { !isSpace($0) }), let last = type.lastIndex(where: { !isSpace($0) })
        else { return nil }
        let name = type[first...last]
        guard name.count <= 128 else { return nil }
        let parts = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isToken) }) else { return nil }
        return Substring(name).lowercased()
    }

    /// Returns the name of a format for an error message: `JSON` for `application/json`, else the media type.
    package static func format(of contentType: String) -> String {
        switch name(of: contentType) {
        case "application/json": "JSON"
        case let name?: name
        case nil: "for the decoder"
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// Whether a token may contain the byte (RFC 9110 §5.6.2).
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

extension ReceivedFields {
    /// The media type of `Content-Type`; nil: there is no valid one.
    package var mediaType: String? { first("content-type").flatMap(MediaType.name) }
}
