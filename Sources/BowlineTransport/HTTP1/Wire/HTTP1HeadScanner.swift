import BowlineCore

/// Scans a status line and the fields after it as their bytes arrive (RFC 9112 §4).
///
/// An empty line before the status line is an error: no request asked for its bytes.
struct HTTP1HeadScanner: Sendable {
    private enum Phase {
        case prefix, reason, lineEnd, fields
    }

    private static let prefixLength = 13
    private let kind: RequestKind
    private var phase = Phase.prefix
    private var position = 0
    private(set) var statusCode = 0
    private(set) var minorVersion = 0
    private(set) var reasonEnd = HTTP1HeadScanner.prefixLength
    private(set) var fields = HTTP1FieldScanner(isTrailer: false, startingAt: 0)

    init(kind: RequestKind) {
        self.kind = kind
    }

    /// The length of the head in bytes. Valid when the head is complete.
    var length: Int { fields.position }

    /// The position at which the reason phrase starts.
    var reasonStart: Int { min(Self.prefixLength, reasonEnd) }

    /// Scans more bytes. Returns whether the head is complete.
    mutating func scan(_ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits) throws(HTTP1ParseError) -> Bool {
        // The scan sees only the bytes within the limit. So a fault within the limit gives the same error, whether the
        // bytes arrive at once or one by one.
        let window = UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, limits.maximumHeadBytes)])
        if phase != .fields, try !scanStatusLine(window) {
            return try incomplete(window, limits)
        }
        if try fields.scan(window, limits: limits) { return true }
        return try incomplete(window, limits)
    }

    private func incomplete(_ window: UnsafeRawBufferPointer, _ limits: HTTP1Limits) throws(HTTP1ParseError) -> Bool {
        guard window.count < limits.maximumHeadBytes else { throw HTTP1ParseError(.headTooLarge) }
        return false
    }

    /// Scans the status line. Returns whether the line is complete.
    private mutating func scanStatusLine(_ bytes: UnsafeRawBufferPointer) throws(HTTP1ParseError) -> Bool {
        while position < bytes.count {
            switch phase {
            case .prefix:
                try scanPrefixByte(bytes[position])
                position += 1
            case .reason:
                position = HTTP1Grammar.endOfText(in: bytes, from: position)
                guard position < bytes.count else { return false }
                switch bytes[position] {
                case HTTP1Grammar.carriageReturn: break
                case HTTP1Grammar.lineFeed: throw HTTP1ParseError(.bareLineFeed, line: 1)
                case let byte: throw HTTP1ParseError(.invalidReason, line: 1, byte: byte)
                }
                reasonEnd = position
                position += 1
                phase = .lineEnd
            case .lineEnd:
                guard bytes[position] == HTTP1Grammar.lineFeed else {
                    throw HTTP1ParseError(.bareCarriageReturn, line: 1)
                }
                beginFields()
                return true
            case .fields: return true
            }
        }
        return false
    }

    /// Scans one byte of `HTTP/1.x SP 3DIGIT (SP / CR)`. Many servers leave out the space before an empty reason
    /// phrase.
    @inline(__always)
    private mutating func scanPrefixByte(_ byte: UInt8) throws(HTTP1ParseError) {
        switch position {
        case 0...4:
            let name: StaticString = "HTTP/"
            guard byte == name.utf8Start[position] else { throw HTTP1ParseError(.notHTTP1, line: 1, byte: byte) }
        case 5:
            guard byte == UInt8(ascii: "1") else { throw HTTP1ParseError(.unsupportedVersion, line: 1, byte: byte) }
        case 6:
            guard byte == UInt8(ascii: ".") else { throw HTTP1ParseError(.unsupportedVersion, line: 1, byte: byte) }
        case 7:
            guard let digit = HTTP1Grammar.digit(byte) else {
                throw HTTP1ParseError(.unsupportedVersion, line: 1, byte: byte)
            }
            minorVersion = min(digit, 1)
        case 8:
            guard byte == HTTP1Grammar.space else { throw HTTP1ParseError(.unsupportedVersion, line: 1, byte: byte) }
        case 9...11:
            guard let digit = HTTP1Grammar.digit(byte), digit > 0 || position > 9 else {
                throw HTTP1ParseError(.invalidStatusCode, line: 1, byte: byte)
            }
            statusCode = statusCode * 10 + digit
        default:
            switch byte {
            case HTTP1Grammar.space: phase = .reason
            case HTTP1Grammar.carriageReturn:
                reasonEnd = position
                phase = .lineEnd
            case HTTP1Grammar.lineFeed: throw HTTP1ParseError(.bareLineFeed, line: 1)
            default: throw HTTP1ParseError(.invalidStatusCode, line: 1, byte: byte)
            }
        }
    }

    private mutating func beginFields() {
        phase = .fields
        fields = HTTP1FieldScanner(isTrailer: false, startingAt: position + 1)
        fields.framing.isHTTP10 = minorVersion == 0
        fields.framing.ignoresFraming = statusCode < 200 || kind == .connect && statusCode < 300
    }
}
