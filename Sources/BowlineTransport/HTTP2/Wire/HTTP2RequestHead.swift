internal import BowlineCore
internal import NIOHPACK

/// Makes the field section of a request (RFC 9113 §8.3.1).
///
/// The caller's fields have passed ``HTTP1RequestWriter`` before: names are tokens, values free of control characters,
/// framing fields agree with the body. What speaks of an HTTP/1.1 connection is left out here (RFC 9113 §8.2.2).
struct HTTP2RequestHead {
    let method: String
    let scheme: String
    let authority: String
    let target: String
    let fields: HTTPFields
    /// The body's length; nil if it is not known, or if there is none and the method does not call for saying so.
    let contentLength: Int64?
    let expectsContinue: Bool

    /// A cookie shorter than this is never put into the compression table: it could be guessed byte by byte (RFC 7541
    /// §7.1.3).
    private static let guessableCookie = 20

    func makeFields() -> HPACKHeaders {
        var headers = HPACKHeaders()
        headers.reserveCapacity(fields.count + 6)
        headers.add(name: ":method", value: method)
        headers.add(name: ":scheme", value: scheme)
        if !authority.isEmpty { headers.add(name: ":authority", value: authority) }
        headers.add(name: ":path", value: target)
        for field in fields { Self.add(field, to: &headers) }
        if let contentLength { headers.add(name: "content-length", value: String(contentLength)) }
        if expectsContinue { headers.add(name: "expect", value: "100-continue") }
        return headers
    }

    /// The trailers of a request.
    static func trailers(_ fields: HTTPFields) -> HPACKHeaders {
        var headers = HPACKHeaders()
        for field in fields { headers.add(name: field.name.canonicalName, value: field.value) }
        return headers
    }

    private static func add(_ field: HTTPField, to headers: inout HPACKHeaders) {
        let name = field.name.canonicalName
        guard mayBeSpecial(name) else {
            headers.add(name: name, value: field.value)
            return
        }
        switch name {
        case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length",
            "expect":
            return
        case "authorization", "proxy-authorization":
            headers.add(name: name, value: field.value, indexing: .neverIndexed)
        case "cookie":
            // RFC 9113 §8.2.3: one pair each, so that those that stay the same are compressed.
            for pair in field.value.split(separator: ";") {
                let pair = pair.drop { $0 == " " }
                headers.add(
                    name: name, value: String(pair),
                    indexing: pair.utf8.count < guessableCookie ? .neverIndexed : .indexable
                )
            }
        default: headers.add(name: name, value: field.value)
        }
    }

    /// Most names are none of those that are not simply added by their length and first letter alone.
    private static func mayBeSpecial(_ name: String) -> Bool {
        switch (name.utf8.count, name.utf8.first) {
        case (4, UInt8(ascii: "h")), (6, UInt8(ascii: "c")), (6, UInt8(ascii: "e")), (7, UInt8(ascii: "u")),
            (10, UInt8(ascii: "c")), (10, UInt8(ascii: "k")), (13, UInt8(ascii: "a")), (14, UInt8(ascii: "c")),
            (16, UInt8(ascii: "p")), (17, UInt8(ascii: "t")), (19, UInt8(ascii: "p")):
            true
        default: false
        }
    }

    /// Why the fields cannot be sent; nil: they can. The frame handler's fields are strings, so that bytes which are not UTF-8
    /// would arrive as others.
    static func refusal(of fields: HTTPFields) -> String? {
        let field = fields.first { field in
            field.withUnsafeBytesOfValue { String(validating: $0, as: UTF8.self) == nil }
        }
        guard let field else { return nil }
        return "the value of \(field.name.canonicalName) is not UTF-8, which cannot be sent over HTTP/2;"
            + " ask for HTTP/1.1 with http2.negotiation"
    }

    /// What a field section counts against SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 §6.5.2).
    static func listSize(of headers: HPACKHeaders) -> Int {
        headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 }
    }
}
