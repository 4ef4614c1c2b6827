/// The reasons why NIOHTTP1 (llhttp) may refuse a response that our parser accepts, or read it differently. In each
/// case the RFC supports our parser or says nothing.
enum KnownDifference: CaseIterable {
    /// RFC 9110 §2.5: a higher minor version of HTTP/1 is read as 1.1. llhttp knows 1.0 and 1.1.
    case minorVersion
    /// RFC 9112 §5.2: a user agent unfolds a field. It may choose the whitespace between the joined parts.
    case fold
    /// Whitespace before the end of a line: llhttp reads a tab there as a part of `Content-Length` and
    /// `Transfer-Encoding`.
    case whitespaceAtLineEnd
    /// RFC 9110 §8.6: a recipient may accept an identical repeated `Content-Length`. llhttp does not accept it.
    case repeatedLength
    /// llhttp is less strict about some chunk extensions and stricter about others: it accepts no whitespace in them.
    case chunkExtension
    /// llhttp reads the framing and connection fields of a trailer section, which have no meaning there (RFC 9110
    /// §6.5.1). It reads all other trailers as we do.
    case framingTrailers
    /// NIOHTTP1 accepts 256 fields, trailers included. This parser accepts 512, and as many trailers.
    case fieldCount

    /// Returns the first difference that applies to this response.
    static func first(in bytes: [UInt8], as response: ParsedResponse) -> KnownDifference? {
        let lines = linePart(of: bytes, as: response)
        return allCases.first { $0.holds(for: bytes, lines, as: response) }
    }

    private func holds(for bytes: [UInt8], _ lines: [UInt8], as response: ParsedResponse) -> Bool {
        switch self {
        case .minorVersion: bytes.count > 7 && bytes[7] != UInt8(ascii: "0") && bytes[7] != UInt8(ascii: "1")
        case .fold: Self.hasLine(in: lines) { _, after in after.map(FuzzGrammar.isSpace) ?? false }
        case .whitespaceAtLineEnd: Self.hasLine(in: lines) { before, _ in before.map(FuzzGrammar.isSpace) ?? false }
        case .repeatedLength: response.fields.count(where: { $0.name.lowercased() == "content-length" }) > 1
        case .chunkExtension: Self.isChunked(response) && bytes.contains(UInt8(ascii: ";"))
        case .framingTrailers: response.trailers.contains { Self.framingNames.contains($0.name.lowercased()) }
        case .fieldCount: response.fields.count + response.trailers.count > 256
        }
    }

    private static let framingNames: Set<String> = [
        "connection", "content-length", "proxy-connection", "transfer-encoding", "upgrade",
    ]

    /// The part of a response that consists of lines: its head, or all of it if it has chunks.
    private static func linePart(of bytes: [UInt8], as response: ParsedResponse) -> [UInt8] {
        guard !isChunked(response) else { return bytes }
        // Empty lines before the status line are not the end of the head.
        let start = bytes.firstIndex { $0 != 0x0D && $0 != 0x0A } ?? bytes.endIndex
        let end = bytes[start...].indices.first { bytes[$0...].starts(with: [0x0D, 0x0A, 0x0D, 0x0A]) }
        return Array(bytes[..<(end.map { $0 + 4 } ?? bytes.endIndex)])
    }

    private static func isChunked(_ response: ParsedResponse) -> Bool {
        response.fields.contains { $0.name.lowercased() == "transfer-encoding" }
    }

    /// Whether a CRLF has neighbours for which `isFound` is true. Its arguments are the byte before the CRLF and the
    /// byte after it.
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
