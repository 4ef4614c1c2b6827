/// Scans the lines between the data of a chunked body, byte by byte as they arrive (RFC 9112 §7.1).
///
/// ```
/// chunk-line     = 1*HEXDIG *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) CRLF
/// ```
/// Whitespace is accepted where the grammar has `BWS` and nowhere else: neither before the size nor before the line
/// end.
struct HTTP1ChunkScanner: Sendable {
    enum Result: Sendable {
        case needsMore
        /// The line is complete. A size of zero announces the trailer section.
        case chunk(size: Int64)
        /// The line end after the data is complete.
        case dataEnd
    }

    private enum Phase {
        case size, spaceBeforeSemicolon, spaceBeforeName, name, spaceAfterName, spaceBeforeValue, value, quoted, escaped
        case afterQuoted, lineEnd, dataEnd, dataEndLineFeed
    }

    private var phase = Phase.size
    private var size: UInt64 = 0
    private var digits = 0
    private var lineSurplus = 0
    private var line = 1
    /// The number of body bytes so far that are not data, minus the number of data bytes that the body delivered. Never
    /// below zero.
    private var surplus: Int64 = 0

    /// Notes data bytes that were delivered.
    mutating func dataDelivered(_ count: Int) {
        surplus = max(0, surplus - Int64(count))
    }

    /// Expects the line end after a chunk's data.
    mutating func dataEnded() {
        phase = .dataEnd
    }

    /// Scans more bytes. Returns the line that is complete, if there is one, and how many bytes were used.
    mutating func scan(
        _ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits
    ) throws(HTTP1ParseError) -> (result: Result, used: Int) {
        var position = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch phase {
            case .lineEnd:
                guard byte == HTTP1Grammar.lineFeed else { throw failure(.bareCarriageReturn) }
                let size = Int64(size)
                beginLine()
                return (.chunk(size: size), position)
            case .dataEnd:
                guard byte == HTTP1Grammar.carriageReturn else { throw failure(.chunkNotTerminated, byte) }
                phase = .dataEndLineFeed
            case .dataEndLineFeed:
                guard byte == HTTP1Grammar.lineFeed else { throw failure(.chunkNotTerminated, byte) }
                phase = .size
                return (.dataEnd, position)
            case .size: try scanSize(byte, limits)
            default: try scanExtension(byte, limits)
            }
        }
        return (.needsMore, position)
    }

    private mutating func beginLine() {
        phase = .size
        size = 0
        digits = 0
        lineSurplus = 0
        line += 1
    }

    private mutating func scanSize(_ byte: UInt8, _ limits: HTTP1Limits) throws(HTTP1ParseError) {
        if let digit = HTTP1Grammar.hexDigit(byte) {
            // Leading zeros are legal, but a peer must not be able to send them without end.
            if digits > 0, size == 0 { try countSurplus(limits) }
            guard size <= UInt64(Int64.max) >> 4 else { throw failure(.invalidChunkSize, byte) }
            size = size << 4 | digit
            digits = 1
            return
        }
        guard digits > 0 else { throw failure(.invalidChunkSize, byte) }
        switch byte {
        case HTTP1Grammar.carriageReturn: phase = .lineEnd
        case UInt8(ascii: ";"), HTTP1Grammar.space, HTTP1Grammar.tab:
            phase = .spaceBeforeSemicolon
            try scanExtension(byte, limits)
        case HTTP1Grammar.lineFeed: throw failure(.bareLineFeed)
        default: throw failure(.invalidChunkSize, byte)
        }
    }

    private mutating func scanExtension(_ byte: UInt8, _ limits: HTTP1Limits) throws(HTTP1ParseError) {
        let isSpace = HTTP1Grammar.isWhitespace(byte)
        let isToken = HTTP1Grammar.isToken(byte)
        let isEnd = byte == HTTP1Grammar.carriageReturn
        let isSemicolon = byte == UInt8(ascii: ";")
        switch phase {
        case .spaceBeforeSemicolon where isSpace: break
        case .spaceBeforeSemicolon where isSemicolon: phase = .spaceBeforeName
        case .spaceBeforeName where isSpace: break
        case .spaceBeforeName where isToken: phase = .name
        case .name where isToken: break
        case .name where isSpace: phase = .spaceAfterName
        case .name where isSemicolon, .spaceAfterName where isSemicolon: phase = .spaceBeforeName
        case .name where byte == UInt8(ascii: "="), .spaceAfterName where byte == UInt8(ascii: "="):
            phase = .spaceBeforeValue
        case .spaceAfterName where isSpace: break
        case .spaceBeforeValue where isSpace: break
        case .spaceBeforeValue where isToken: phase = .value
        case .spaceBeforeValue where byte == UInt8(ascii: "\""): phase = .quoted
        case .value where isToken: break
        case .quoted where byte == UInt8(ascii: "\""): phase = .afterQuoted
        case .quoted where byte == UInt8(ascii: "\\"): phase = .escaped
        case .quoted where HTTP1Grammar.isText(byte): break
        case .escaped where HTTP1Grammar.isText(byte): phase = .quoted
        case .value where isSemicolon, .afterQuoted where isSemicolon: phase = .spaceBeforeName
        case .value where isSpace, .afterQuoted where isSpace: phase = .spaceBeforeSemicolon
        case .name where isEnd, .value where isEnd, .afterQuoted where isEnd:
            phase = .lineEnd
            return
        default:
            throw byte == HTTP1Grammar.lineFeed ? failure(.bareLineFeed) : failure(.invalidChunkExtension, byte)
        }
        try countSurplus(limits)
    }

    /// Counts a byte that is not data, against the limit for its line and against the data that the body has delivered
    /// (CVE-2023-39326).
    private mutating func countSurplus(_ limits: HTTP1Limits) throws(HTTP1ParseError) {
        lineSurplus += 1
        surplus += 1
        guard lineSurplus <= limits.maximumChunkExtensionBytes, surplus <= Int64(limits.maximumChunkExtensionSurplus)
        else {
            throw failure(.chunkExtensionsTooLong)
        }
    }

    private func failure(_ reason: HTTP1ParseError.Reason, _ byte: UInt8? = nil) -> HTTP1ParseError {
        HTTP1ParseError(reason, line: line, byte: byte)
    }
}
