package import BowlineCore
package import NIOCore
package import NIOHPACK

/// Why a field section of a response is malformed (RFC 9113 §8.1.1).
package struct HTTP2FieldError: Error, CustomStringConvertible {
    package let description: String
    /// The peer sent more than we accept, rather than something wrong.
    var isLimit = false

    init(_ description: String, isLimit: Bool = false) {
        self.description = description
        self.isLimit = isLimit
    }
}

/// A field section of a response, checked and turned into what callers get.
package struct HTTP2FieldSection {
    /// 100 to 999; nil for trailers.
    package private(set) var status: Int?
    package private(set) var fields = ReceivedFields()
    /// The length that the fields announce.
    package private(set) var contentLength: Int64?

    private var buffer: ByteBuffer
    private var spans: [ReceivedFields.Span] = []

    /// - Parameter isTrailer: It follows the body, and has no status.
    package init(
        _ headers: HPACKHeaders, isTrailer: Bool, maximumFields: Int, allocator: ByteBufferAllocator
    )
        throws(HTTP2FieldError)
    {
        // What a field takes mostly; counted, each would be taken in hand twice.
        buffer = allocator.buffer(capacity: 48 * headers.count)
        spans.reserveCapacity(headers.count)
        for header in headers {
            if header.name.utf8.first == UInt8(ascii: ":") {
                try readPseudo(header.name, header.value, isTrailer: isTrailer)
            } else {
                guard spans.count < maximumFields else { throw HTTP2FieldError("too many fields", isLimit: true) }
                try read(header.name, header.value)
            }
        }
        guard isTrailer || status != nil else { throw HTTP2FieldError("the response has no :status") }
        fields = ReceivedFields(bytes: buffer, spans: spans)
    }

    private mutating func readPseudo(_ name: String, _ value: String, isTrailer: Bool) throws(HTTP2FieldError) {
        guard spans.isEmpty else { throw HTTP2FieldError("a pseudo-field follows a field") }
        guard !isTrailer, name == ":status" else { throw HTTP2FieldError("a pseudo-field that has no place here") }
        guard status == nil else { throw HTTP2FieldError(":status is there twice") }
        let digits = value.utf8
        guard digits.count == 3, let code = Int(value), (100...999).contains(code),
            digits.allSatisfy({ (0x30...0x39).contains($0) })
        else { throw HTTP2FieldError(":status is no status code") }
        status = code
    }

    private mutating func read(_ name: String, _ value: String) throws(HTTP2FieldError) {
        let nameStart = UInt32(truncatingIfNeeded: buffer.writerIndex)
        let nameLength = buffer.writeString(name)
        guard nameLength > 0, Self.isLowerCaseToken(buffer, last: nameLength) else {
            throw HTTP2FieldError("a field's name is not in lower case, or no name")
        }
        let valueStart = UInt32(truncatingIfNeeded: buffer.writerIndex)
        buffer.writeString(value)
        // Whitespace around a value is malformed (RFC 9113 §8.2.1), and harmless once it is off.
        let length = Int(truncatingIfNeeded: UInt32(truncatingIfNeeded: buffer.writerIndex) - valueStart)
        let trimmed: Range<Int>? = buffer.withUnsafeReadableBytes { bytes in
            let bytes = UnsafeRawBufferPointer(rebasing: bytes.suffix(length))
            guard HTTP1Grammar.endOfText(in: bytes, from: 0) == bytes.count else { return nil }
            var (start, end) = (0, bytes.count)
            while start < end, HTTP1Grammar.isWhitespace(bytes[start]) { start += 1 }
            while end > start, HTTP1Grammar.isWhitespace(bytes[end - 1]) { end -= 1 }
            return start..<end
        }
        guard let trimmed else { throw HTTP2FieldError("a field's value has a control character") }
        spans.append(
            ReceivedFields.Span(
                nameStart: nameStart, nameEnd: valueStart, valueStart: valueStart + UInt32(trimmed.lowerBound),
                valueEnd: valueStart + UInt32(trimmed.upperBound)
            ))
        try noteSpecial(name, value)
    }

    private static func isLowerCaseToken(_ buffer: ByteBuffer, last count: Int) -> Bool {
        buffer.withUnsafeReadableBytes { bytes in
            for index in (bytes.count - count)..<bytes.count {
                let byte = bytes[index]
                guard HTTP1Grammar.isToken(byte), !(byte >= 0x41 && byte <= 0x5A) else { return false }
            }
            return true
        }
    }

    private mutating func noteSpecial(_ name: String, _ value: String) throws(HTTP2FieldError) {
        // Most names are none of these by their length alone.
        switch name.utf8.count {
        case 7, 10, 14, 16, 17: break
        default: return
        }
        switch name {
        case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
            throw HTTP2FieldError("a field that speaks of an HTTP/1.1 connection")
        case "content-length":
            guard !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int64(value),
                contentLength == nil || contentLength == length
            else { throw HTTP2FieldError("content-length is no length, or there are two") }
            contentLength = length
        default: break
        }
    }
}
