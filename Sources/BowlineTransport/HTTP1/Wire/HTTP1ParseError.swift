/// The reason why the bytes of a peer are not a valid HTTP/1.1 response. The connection cannot be used any more.
///
/// Says what was wrong and where. Contains at most one of the peer's bytes.
package struct HTTP1ParseError: Error, Hashable, Sendable {
    /// The fault in the peer's bytes.
    package enum Reason: String, Sendable, CaseIterable {
        case unsolicitedBytes = "bytes arrived before the request that they would answer"
        case notHTTP1 = "not an HTTP/1 status line"
        case unsupportedVersion = "unsupported HTTP version"
        case invalidStatusCode = "the status code is not three digits from 100 to 999"
        case invalidReason = "control character in the reason phrase"
        case bareCarriageReturn = "CR without LF"
        case bareLineFeed = "LF without CR"
        case emptyFieldName = "empty field name"
        case invalidFieldName = "invalid byte in a field name"
        case missingColon = "field line without a colon"
        case whitespaceInFieldName = "whitespace in or after a field name"
        case invalidFieldValue = "control character in a field value"
        case foldBeforeFirstField = "whitespace before the first field"
        case foldedFramingField = "folded field that frames the message"
        case foldedTrailer = "folded trailer field"
        case invalidContentLength = "invalid Content-Length"
        case differingContentLengths = "differing Content-Length fields"
        case contentLengthAndTransferEncoding = "both Content-Length and Transfer-Encoding"
        case unsupportedTransferEncoding = "Transfer-Encoding is not exactly one 'chunked'"
        case transferEncodingOnHTTP10 = "Transfer-Encoding in an HTTP/1.0 response"
        case tooManyContentCodings = "too many content codings"
        case headTooLarge = "response head too large"
        case tooManyFields = "too many fields"
        case trailersTooLarge = "trailer section too large"
        case tooManyInformationalResponses = "too many informational responses"
        case unsolicitedUpgrade = "101 although no upgrade was asked for"
        case bytesAfterUpgrade = "bytes after a response that ends HTTP on the connection"
        case invalidChunkSize = "invalid chunk size"
        case invalidChunkExtension = "invalid chunk extension"
        case chunkExtensionsTooLong = "chunk extensions too long"
        case chunkNotTerminated = "chunk data not followed by CRLF"
        case closedBeforeResponse = "connection closed before any byte of a response"
        case truncatedHead = "connection closed within the response head"
        case truncatedBody = "connection closed within the response body"
    }

    package var reason: Reason
    /// The line, counted from 1, of the head, the trailer section or the chunked body.
    package var line: Int?
    /// The invalid byte.
    package var byte: UInt8?

    init(_ reason: Reason, line: Int? = nil, byte: UInt8? = nil) {
        self.reason = reason
        self.line = line
        self.byte = byte
    }

    /// Whether the connection ended too early. If not, the peer sent something invalid or too large.
    package var isTruncation: Bool {
        switch reason {
        case .closedBeforeResponse, .truncatedHead, .truncatedBody: true
        default: false
        }
    }
}

extension HTTP1ParseError: CustomStringConvertible {
    package var description: String {
        var circumstances: [String] = []
        if let line { circumstances.append("line \(line)") }
        if let byte {
            circumstances.append("byte 0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))")
        }
        guard !circumstances.isEmpty else { return reason.rawValue }
        return "\(reason.rawValue) (\(circumstances.joined(separator: ", ")))"
    }
}
