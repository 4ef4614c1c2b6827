/// Media types as `Content-Type` names them (RFC 9110 §8.3.1).
package enum MediaType {
    /// `text/html` of `Text/HTML; charset=utf-8`: lower case, no parameters; nil if it is not two tokens, or of over 128 bytes.
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

    /// The format's usual name: `JSON` for `application/json`, else the type.
    package static func format(of contentType: String) -> String {
        switch name(of: contentType) {
        case "application/json": "JSON"
        case let name?: name
        case nil: "for the decoder"
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// RFC 9110 §5.6.2.
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
    /// The media type of `Content-Type`; nil if there is none that is valid.
    package var mediaType: String? { first("content-type").flatMap(MediaType.name) }
}
