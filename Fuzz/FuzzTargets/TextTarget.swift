import BowlineCore
import NIOCore

/// Media types and the text of a body: no bytes trap, and UTF-8 is read as UTF-8.
///
/// Content: the value of `Content-Type`, then the first LF, then the body.
enum TextTarget {
    static func check(_ input: FuzzInput) throws {
        let parts = input.content.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
        let contentType = String(decoding: parts[0], as: UTF8.self)
        try checkMediaType(contentType)
        let body = parts.count > 1 ? Array(parts[1]) : []
        let buffer = ByteBuffer(bytes: body)

        let text = TextEncoding.text(of: buffer, contentType: contentType)
        // The longest case: each byte becomes U+FFFD, which has three bytes in UTF-8.
        try promise(text.utf8.count <= 3 * body.count + 3, "\(text.utf8.count) bytes of text of \(body.count)")
        let plain = TextEncoding.text(of: buffer, contentType: nil)
        try promise(
            TextEncoding.text(of: buffer, contentType: "text/plain; charset=utf-8") == plain,
            "UTF-8 is what a body is read as")
        let hasMark =
            body.starts(with: [0xEF, 0xBB, 0xBF]) || body.starts(with: [0xFF, 0xFE])
            || body.starts(with: [0xFE, 0xFF])
        guard !hasMark else {
            try promise(text == plain, "a byte order mark decides over the charset")
            return
        }
        if let valid = String(validating: body, as: UTF8.self) {
            try promise(plain.utf8.elementsEqual(valid.utf8), "valid UTF-8 stays as it is")
        }
        let latin = TextEncoding.text(of: buffer, contentType: "text/plain;charset=\"ISO-8859-1\"")
        try promise(latin.unicodeScalars.map(\.value) == body.map { UInt32($0) }, "ISO-8859-1 keeps each byte")
    }

    private static func checkMediaType(_ contentType: String) throws {
        guard let name = MediaType.name(of: contentType) else { return }
        try promise(name.utf8.count <= 128, "a media type of \(name.utf8.count) bytes")
        try promise(MediaType.name(of: name) == name, "\(name) is read as another")
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let areTokens = parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(FuzzGrammar.isToken) }
        try promise(parts.count == 2 && areTokens, "\(name) is two tokens")
        try promise(name.utf8.allSatisfy { !(0x41...0x5A).contains($0) }, "\(name) is in lower case")
    }
}
