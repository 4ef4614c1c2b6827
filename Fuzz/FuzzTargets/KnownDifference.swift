/// Why NIOHTTP1 (llhttp) may refuse or read otherwise what this parser accepts, each time with the RFC on our side or silent.
enum KnownDifference: CaseIterable {
    /// RFC 9110 §2.5: a higher minor version of HTTP/1 is read as 1.1. llhttp knows 1.0 and 1.1.
    case minorVersion
    /// RFC 9112 §5.2: a user agent unfolds. What stands between the joined parts is its choice.
    case fold
    /// Whitespace before a line end: llhttp takes a tab there for a part of `Content-Length` and `Transfer-Encoding`.
    case whitespaceAtLineEnd
    /// RFC 9110 §8.6 lets a recipient accept a `Content-Length` that is repeated to the letter. llhttp does not.
    case repeatedLength
    /// llhttp reads extensions less strictly in one place and more in another: it knows no whitespace in them.
    case chunkExtension
    /// llhttp reads the framing and connection fields of a trailer section, where they mean nothing (RFC 9110 §6.5.1).
    case trailers
    /// NIOHTTP1 accepts 256 fields, this parser 512.
    case fieldCount
    /// llhttp reads `Connection`, `Proxy-Connection` and `Upgrade` to find whether HTTP ends with the message.
    case connection

    /// The first that holds for this response.
    static func first(in bytes: [UInt8], as response: ParsedResponse) -> KnownDifference? {
        allCases.first { $0.holds(for: bytes, as: response) }
    }

    private func holds(for bytes: [UInt8], as response: ParsedResponse) -> Bool {
        switch self {
        case .minorVersion: bytes.count > 7 && bytes[7] != UInt8(ascii: "0") && bytes[7] != UInt8(ascii: "1")
        case .fold: Self.hasLine(in: bytes) { _, after in after.map(FuzzGrammar.isSpace) ?? false }
        case .whitespaceAtLineEnd: Self.hasLine(in: bytes) { before, _ in before.map(FuzzGrammar.isSpace) ?? false }
        case .repeatedLength: response.fields.count(where: { $0.name.lowercased() == "content-length" }) > 1
        case .chunkExtension: Self.isChunked(response) && bytes.contains(UInt8(ascii: ";"))
        case .trailers: !response.trailers.isEmpty
        case .fieldCount: response.fields.count > 256
        case .connection:
            response.fields.contains { ["upgrade", "connection", "proxy-connection"].contains($0.name.lowercased()) }
        }
    }

    private static func isChunked(_ response: ParsedResponse) -> Bool {
        response.fields.contains { $0.name.lowercased() == "transfer-encoding" }
    }

    /// Whether there is a CRLF for whose neighbours `isFound` holds: the byte before it and the byte after it.
    private static func hasLine(in bytes: [UInt8], _ isFound: (UInt8?, UInt8?) -> Bool) -> Bool {
        guard bytes.count >= 2 else { return false }
        return (0...bytes.count - 2).contains { index in
            guard bytes[index] == 0x0D, bytes[index + 1] == 0x0A else { return false }
            let before = index > 0 ? bytes[index - 1] : nil
            let after = index + 2 < bytes.count ? bytes[index + 2] : nil
            return isFound(before, after)
        }
    }
}
