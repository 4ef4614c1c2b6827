/// The reason why a request, or its trailers, cannot be sent over either protocol. Nothing of the refused head or
/// trailers has been written.
///
/// Says what is wrong and in which field. It contains at most the first 40 bytes of a field's name, escaped, and no
/// other text of the caller: no value and no target.
package struct RequestCheckError: Error, Hashable, Sendable {
    /// The fault in the request.
    package enum Reason: String, Sendable, CaseIterable {
        case invalidMethod = "the method is not a token"
        case invalidTarget = "the request target is empty or has a space, control or non-ASCII character"
        case invalidHost = "the host is not valid"
        case repeatedHost = "more than one Host field"
        case invalidFieldName = "the field name is not a token"
        case invalidFieldValue = "the field value has a control character"
        case invalidContentLength = "Content-Length does not match the length of the body"
        case invalidTransferEncoding = "Transfer-Encoding does not match the body, or is not 'chunked'"
        case unsupportedConnectionOption = "Connection may only say 'close', 'keep-alive', 'upgrade' or 'te'"
        case unsupportedExpectation = "Expect may only say '100-continue'"
        case unsupportedTE = "TE may only say 'trailers'"
        case forbiddenTrailer = "the field may not be sent as a trailer"
    }

    package var reason: Reason
    /// The name of the field, cut and escaped.
    package var fieldName: String?

    init(_ reason: Reason, fieldName: String? = nil) {
        self.reason = reason
        self.fieldName = fieldName.map(Self.escaped)
    }

    private static func escaped(_ name: String) -> String {
        var text = ""
        for byte in name.utf8.prefix(40) {
            if byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "\\") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return name.utf8.count > 40 ? text + "…" : text
    }
}

extension RequestCheckError: CustomStringConvertible {
    package var description: String {
        guard let fieldName else { return reason.rawValue }
        return "\(reason.rawValue) (field \(fieldName))"
    }
}
