package import BowlineCore
internal import NIOCore

/// The reason why a field section of a response is refused: it is malformed (RFC 9113 §8.1.1), or larger than we
/// accept.
package struct HTTP2FieldError: Error, CustomStringConvertible {
    package let description: String
    /// Whether the section is larger than we accept. False: it is malformed.
    var isLimit = false

    init(_ description: String, isLimit: Bool = false) {
        self.description = description
        self.isLimit = isLimit
    }
}

/// A field section of a response, checked and converted into the fields that callers get.
///
/// The caller's fields use the decoder's bytes: nothing is copied, and no text is made.
package struct HTTP2FieldSection {
    /// The status code, 100 to 999. nil: the section is trailers.
    package let status: Int?
    package let fields: ReceivedFields
    /// The value of `content-length`. nil: there is none.
    package let contentLength: Int64?

    /// - Parameter isTrailer: Whether the section follows the body, and so has no status.
    package init(_ received: consuming HPACKFields, isTrailer: Bool, maximumFields: Int) throws(HTTP2FieldError) {
        var received = received
        guard !received.isTooLarge else { throw HTTP2FieldError("too many fields, or too large ones", isLimit: true) }
        let bytes = received.bytes
        // Moved out of `received`, so that this is the only reference and the array is changed in place.
        var spans: [ReceivedFields.Span] = []
        swap(&spans, &received.spans)
        guard spans.count <= maximumFields + 1 else { throw HTTP2FieldError("too many fields", isLimit: true) }
        var check = Check(isTrailer: isTrailer)
        let problem = bytes.withUnsafeReadableBytes { bytes in
            spans.withUnsafeMutableBufferPointer { spans in check.problem(of: spans, in: bytes) }
        }
        if let problem { throw problem }
        guard isTrailer || check.status != nil else { throw HTTP2FieldError("the response has no :status") }
        spans.removeFirst(check.pseudoCount)
        guard spans.count <= maximumFields else { throw HTTP2FieldError("too many fields", isLimit: true) }
        status = check.status
        contentLength = check.contentLength
        fields = ReceivedFields(bytes: bytes, spans: spans)
    }
}

/// Checks the fields of one section.
private struct Check {
    let isTrailer: Bool
    var pseudoCount = 0
    var status: Int?
    var contentLength: Int64?

    init(isTrailer: Bool) {
        self.isTrailer = isTrailer
    }

    /// Returns what is wrong with the first malformed field. nil: nothing. Removes whitespace from the ends of the
    /// values.
    mutating func problem(
        of spans: UnsafeMutableBufferPointer<ReceivedFields.Span>, in bytes: UnsafeRawBufferPointer
    ) -> HTTP2FieldError? {
        for index in spans.indices {
            let span = spans[index]
            let name = UnsafeRawBufferPointer(rebasing: bytes[Int(span.nameStart)..<Int(span.nameEnd)])
            let value = UnsafeRawBufferPointer(rebasing: bytes[Int(span.valueStart)..<Int(span.valueEnd)])
            if name.first == UInt8(ascii: ":") {
                if let problem = pseudo(name, value, at: index) { return problem }
                continue
            }
            guard Self.isLowerCaseToken(name) else {
                return HTTP2FieldError("a field's name is not in lower case, or no name")
            }
            guard HTTP1Grammar.endOfText(in: value, from: 0) == value.count else {
                return HTTP2FieldError("a field's value has a control character")
            }
            if let problem = special(name, value) { return problem }
            // Whitespace around a value is malformed (RFC 9113 §8.2.1), but harmless after its removal.
            let content = HTTP1Grammar.trimmed(value)
            spans[index].valueStart = span.valueStart + UInt32(truncatingIfNeeded: content.lowerBound)
            spans[index].valueEnd = span.valueStart + UInt32(truncatingIfNeeded: content.upperBound)
        }
        return nil
    }

    private mutating func pseudo(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, at index: Int
    ) -> HTTP2FieldError? {
        guard index == pseudoCount else { return HTTP2FieldError("a pseudo-field follows a field") }
        guard !isTrailer, Self.isEqual(name, ":status") else {
            return HTTP2FieldError("a pseudo-field that has no place here")
        }
        guard status == nil else { return HTTP2FieldError(":status is there twice") }
        guard value.count == 3, let code = Self.number(value), code >= 100 else {
            return HTTP2FieldError(":status is no status code")
        }
        status = Int(code)
        pseudoCount += 1
        return nil
    }

    private mutating func special(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) -> HTTP2FieldError? {
        // The length alone rules out most names.
        let isOfConnection =
            switch name.count {
            case 7: Self.isEqual(name, "upgrade")
            case 10: Self.isEqual(name, "connection") || Self.isEqual(name, "keep-alive")
            case 16: Self.isEqual(name, "proxy-connection")
            case 17: Self.isEqual(name, "transfer-encoding")
            default: false
            }
        if isOfConnection { return HTTP2FieldError("a field that speaks of an HTTP/1.1 connection") }
        guard name.count == 14, Self.isEqual(name, "content-length") else { return nil }
        guard let length = Self.number(value), contentLength == nil || contentLength == length else {
            return HTTP2FieldError("content-length is no length, or there are two")
        }
        contentLength = length
        return nil
    }

    /// Returns the number that the bytes contain. nil: other bytes than digits, no byte, or a number that is too large.
    private static func number(_ bytes: UnsafeRawBufferPointer) -> Int64? {
        guard !bytes.isEmpty else { return nil }
        var number: Int64 = 0
        for byte in bytes {
            guard let digit = HTTP1Grammar.digit(byte) else { return nil }
            let (tenfold, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = tenfold.addingReportingOverflow(Int64(digit))
            guard !isTooLarge, !overflows else { return nil }
            number = sum
        }
        return number
    }

    private static func isLowerCaseToken(_ name: UnsafeRawBufferPointer) -> Bool {
        guard !name.isEmpty else { return false }
        for byte in name {
            guard HTTP1Grammar.isToken(byte), !(byte >= 0x41 && byte <= 0x5A) else { return false }
        }
        return true
    }

    private static func isEqual(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        bytes.elementsEqual(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
