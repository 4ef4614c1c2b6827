import BowlineCore

/// The framing and the persistence that the fields of a head declare, collected during the scan.
///
/// Where RFC 9112 §6.3 lets a recipient choose, this type is strict: a field that another recipient might read
/// differently is an error.
struct HTTP1FramingFields: Sendable {
    /// Whether the response is a 1xx, or a 2xx to CONNECT. Content-Length, Transfer-Encoding and Content-Encoding have
    /// no meaning in such a response and are not read.
    var ignoresFraming = false
    var isHTTP10 = false
    private(set) var contentLength: Int64?
    private(set) var isChunked = false
    private(set) var closes = false
    private(set) var keepsAlive = false
    private(set) var keepAliveTimeout: Int?
    private var contentCodings = 0
    /// The position of the first Content-Length's digits.
    private var lengthStart = 0
    private var lengthEnd = 0

    /// Evaluates a field. Returns whether the field must not be folded.
    ///
    /// - Parameters:
    ///   - bytes: the whole section so far.
    ///   - name: where the name is.
    ///   - value: where the trimmed value is.
    mutating func note(
        _ bytes: UnsafeRawBufferPointer, name: Range<Int>, value: Range<Int>, limits: HTTP1Limits
    ) throws(HTTP1ParseError) -> Bool {
        let nameBytes = UnsafeRawBufferPointer(rebasing: bytes[name])
        switch name.count {
        case 10:
            if Self.matches(nameBytes, "connection") {
                noteConnection(UnsafeRawBufferPointer(rebasing: bytes[value]))
                return true
            }
            if Self.matches(nameBytes, "keep-alive") {
                noteKeepAlive(UnsafeRawBufferPointer(rebasing: bytes[value]))
                return true
            }
        case 14 where Self.matches(nameBytes, "content-length"):
            if !ignoresFraming { try noteContentLength(bytes, value) }
            return true
        case 16 where Self.matches(nameBytes, "content-encoding"):
            if !ignoresFraming { try noteContentEncoding(UnsafeRawBufferPointer(rebasing: bytes[value]), limits) }
            return true
        case 17 where Self.matches(nameBytes, "transfer-encoding"):
            if !ignoresFraming { try noteTransferEncoding(UnsafeRawBufferPointer(rebasing: bytes[value])) }
            return true
        default: break
        }
        return false
    }

    /// Evaluates Content-Length, which must be digits only (RFC 9110 §8.6). A second line must have exactly the same
    /// digits. A list of lengths in one line is refused, even if they agree.
    private mutating func noteContentLength(
        _ bytes: UnsafeRawBufferPointer, _ value: Range<Int>
    ) throws(HTTP1ParseError) {
        guard !isChunked else { throw HTTP1ParseError(.contentLengthAndTransferEncoding) }
        guard !value.isEmpty else { throw HTTP1ParseError(.invalidContentLength) }
        var length: Int64 = 0
        for byte in bytes[value] {
            guard let digit = HTTP1Grammar.digit(byte) else { throw HTTP1ParseError(.invalidContentLength) }
            let (shifted, overflowed) = length.multipliedReportingOverflow(by: 10)
            let (sum, overflowedToo) = shifted.addingReportingOverflow(Int64(digit))
            guard !overflowed, !overflowedToo else { throw HTTP1ParseError(.invalidContentLength) }
            length = sum
        }
        if contentLength == nil {
            contentLength = length
            (lengthStart, lengthEnd) = (value.lowerBound, value.upperBound)
        } else if !bytes[value].elementsEqual(bytes[lengthStart..<lengthEnd]) {
            throw HTTP1ParseError(.differingContentLengths)
        }
    }

    /// Evaluates Transfer-Encoding (RFC 9112 §6.1). Stricter than the RFC: we ask for no coding but `chunked`, so the
    /// value must be `chunked`, exactly once.
    private mutating func noteTransferEncoding(_ value: UnsafeRawBufferPointer) throws(HTTP1ParseError) {
        guard !isHTTP10 else { throw HTTP1ParseError(.transferEncodingOnHTTP10) }
        guard contentLength == nil else { throw HTTP1ParseError(.contentLengthAndTransferEncoding) }
        guard !isChunked, Self.matches(value, "chunked") else { throw HTTP1ParseError(.unsupportedTransferEncoding) }
        isChunked = true
    }

    private mutating func noteContentEncoding(
        _ value: UnsafeRawBufferPointer, _ limits: HTTP1Limits
    ) throws(HTTP1ParseError) {
        value.forEachListElement { _ in contentCodings += 1 }
        guard contentCodings <= limits.maximumContentCodings else { throw HTTP1ParseError(.tooManyContentCodings) }
    }

    private mutating func noteConnection(_ value: UnsafeRawBufferPointer) {
        value.forEachListElement { option in
            if Self.matches(option, "close") { closes = true }
            if Self.matches(option, "keep-alive") { keepsAlive = true }
        }
    }

    /// Evaluates Keep-Alive, such as `timeout=5, max=100`. The field is not standardised, so anything else is ignored.
    private mutating func noteKeepAlive(_ value: UnsafeRawBufferPointer) {
        value.forEachListElement { parameter in
            guard let equals = parameter.firstIndex(of: UInt8(ascii: "=")) else { return }
            let name = UnsafeRawBufferPointer(rebasing: parameter[..<equals]).trimmingWhitespace()
            let digits = UnsafeRawBufferPointer(rebasing: parameter[(equals + 1)...]).trimmingWhitespace()
            guard Self.matches(name, "timeout"), 1...9 ~= digits.count else { return }
            var seconds = 0
            for byte in digits {
                guard let digit = HTTP1Grammar.digit(byte) else { return }
                seconds = seconds * 10 + digit
            }
            // If there are several timeouts, the shortest one applies: closing too early costs a dial, but closing too
            // late costs a request.
            keepAliveTimeout = min(seconds, keepAliveTimeout ?? seconds)
        }
    }

    @inline(__always)
    private static func matches(_ bytes: UnsafeRawBufferPointer, _ lowercased: StaticString) -> Bool {
        lowercased.withUTF8Buffer { bytes.equals(lowercased: UnsafeRawBufferPointer($0)) }
    }
}
