import BowlineCore
import NIOCore
import Testing

@Suite("The text of a body", .timeLimit(.minutes(1)))
struct TextEncodingTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let bytes: [UInt8]
        let type: String?
        let text: String

        init(_ bytes: [UInt8], _ type: String?, _ text: String) {
            (self.bytes, self.type, self.text) = (bytes, type, text)
        }

        var testDescription: String { "\(bytes) as \(type ?? "nothing")" }
    }

    static let examples: [Example] = [
        // UTF-8, declared or not; invalid bytes are replaced.
        Example([], nil, ""), Example([0x61], nil, "a"), Example([0xC3, 0xA4], nil, "ä"),
        Example([0xC3, 0xA4], "text/plain", "ä"), Example([0xC3, 0xA4], "text/plain; charset=utf-8", "ä"),
        Example([0xC3, 0xA4], "text/plain; charset=UTF8", "ä"), Example([0x61, 0xE4], nil, "a\u{FFFD}"),
        Example([0xC3, 0xA4], "text/plain; charset=x-unknown", "ä"),
        Example([0xC3, 0xA4], "text/plain; charset=", "ä"),
        // The mark is dropped, once, and only at the beginning.
        Example([0xEF, 0xBB, 0xBF, 0x61], nil, "a"), Example([0xEF, 0xBB, 0xBF], "text/plain", ""),
        Example([0xEF, 0xBB, 0xBF, 0xEF, 0xBB, 0xBF, 0x61], nil, "\u{FEFF}a"),
        Example([0x61, 0xEF, 0xBB, 0xBF], nil, "a\u{FEFF}"), Example([0xEF, 0xBB], nil, "\u{FFFD}"),
        // The byte order mark overrides the declared charset.
        Example([0xEF, 0xBB, 0xBF, 0xC3, 0xA4], "text/plain; charset=iso-8859-1", "ä"),
        Example([0xFF, 0xFE, 0xE4, 0x00], "text/plain; charset=utf-8", "ä"),
        Example([0xFE, 0xFF, 0x00, 0xE4], nil, "ä"),
        Example([0xFE, 0xFF, 0x00, 0x61], "text/plain; charset=utf-16le", "a"),
        // US-ASCII has no byte above 0x7F.
        Example([0x61, 0x7F], "text/plain; charset=us-ascii", "a\u{7F}"),
        Example([0x61, 0xC3, 0xA4], "text/plain; charset=US-ASCII", "a\u{FFFD}\u{FFFD}"),
        Example([0xE4], "text/plain;charset=ascii", "\u{FFFD}"),
        // ISO-8859-1 has control characters where windows-1252 has quotation marks.
        Example([0xE4, 0x80, 0x9F], "text/plain; charset=iso-8859-1", "ä\u{80}\u{9F}"),
        Example([0xFF], "text/plain; charset=latin1", "ÿ"), Example([0xE4], "text/html; charset=\"ISO-8859-1\"", "ä"),
        Example([0x80, 0x93, 0x94, 0x9F, 0xE4], "text/plain; charset=windows-1252", "€“”Ÿä"),
        Example([0x81, 0x8D, 0x8F, 0x90, 0x9D], "text/plain; charset=cp1252", "\u{81}\u{8D}\u{8F}\u{90}\u{9D}"),
        // UTF-16: little-endian unless declared otherwise; unpaired surrogates are replaced.
        Example([0x61, 0x00, 0xAC, 0x20], "text/plain; charset=utf-16", "a€"),
        Example([0xFE, 0xFF, 0x00, 0x61], "text/plain; charset=utf-16", "a"),
        Example([0x20, 0xAC], "text/plain; charset=UTF-16BE", "€"),
        Example([0xAC, 0x20], "text/plain; charset=utf-16le", "€"),
        Example([0x3D, 0xD8, 0x00, 0xDE], "text/plain; charset=utf-16", "😀"),
        Example([0x3D, 0xD8], "text/plain; charset=utf-16", "\u{FFFD}"),
        Example([0x61, 0x00, 0x62], "text/plain; charset=utf-16", "a\u{FFFD}"),
        Example([0xFF, 0xFE], nil, ""), Example([0xFF], nil, "\u{FFFD}"),
        // Where the parameter stands, and how it is written.
        Example([0xE4], "text/plain; a=b; Charset = \"latin1\" ; c=d", "ä"),
        Example([0xE4], "text/plain; charset='latin1'", "ä"),
        Example([0xC3, 0xA4], "text/plain; x-charset=latin1", "ä"),
        Example([0xE4], "text/plain; charset=latin1; charset=utf-8", "ä"),
        Example([0xC3, 0xA4], "charset=latin1", "ä"), Example([0xC3, 0xA4], ";;=;charset;", "ä"),
    ]

    @Test("text() drops a byte order mark and honours the charset", arguments: examples)
    func text(example: Example) async throws {
        var response = ServiceResponse(status: .ok, body: ResponseBody(ByteBuffer(bytes: example.bytes)))
        if let type = example.type { response.receivedFields = ReceivedFields([.contentType: type]) }
        #expect(try await response.text().unicodeScalars.elementsEqual(example.text.unicodeScalars))
    }

    @Test("The text of an unexpected status is found in the same way")
    func unexpectedStatus() async throws {
        let body = ResponseBody(ByteBuffer(bytes: [0x6E, 0xE4]))
        var response = ServiceResponse(status: .badRequest, body: body)
        response.receivedFields = ReceivedFields([.contentType: "text/plain; charset=iso-8859-1"])
        let error = await #expect(throws: ServiceError.self) { _ = try await response.expecting(.ok) }
        #expect(error?.unexpectedStatus?.text == "nä")
    }
}
