package import NIOCore

/// A part in the form in which it is sent: the header lines, and then the content.
package struct MultipartSection: Sendable {
    /// The delimiter and the part's header, including the empty line.
    package let head: ByteBuffer
    let body: RequestBody

    /// - Throws: ``ServiceError`` `invalidRequest`.
    package init(_ part: MultipartForm.Part, boundary: String) throws {
        if let length = part.body.length, length < 0 {
            throw ServiceError(
                .invalidRequest, "length of form part \(part.name.printable) must not be negative, is \(length)")
        }
        body = part.body
        var text = "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(Self.escaped(part.name))\""
        if let fileName = part.fileName { text += "; filename=\"\(Self.escaped(fileName))\"" }
        if let type = part.contentType ?? part.body.contentType ?? (part.fileName == nil ? nil : Self.unknownType) {
            // With a line break, the media type could add a field or a part.
            for byte in type.utf8 where byte < 0x20 || byte == 0x7F {
                throw ServiceError(
                    .invalidRequest,
                    "contentType of form part \(part.name.printable) has a control character (byte \(byte))"
                )
            }
            text += "\r\nContent-Type: \(type)"
        }
        head = ByteBuffer(string: text + "\r\n\r\n")
    }

    private static let unknownType = "application/octet-stream"

    /// Returns a name, escaped as browsers escape it in form data (WHATWG HTML, "multipart/form-data encoding
    /// algorithm"). Also escapes the other control characters, which browsers leave unchanged.
    private static func escaped(_ name: String) -> String {
        var text = String.UnicodeScalarView()
        for scalar in name.unicodeScalars {
            if scalar == "\"" || scalar.value < 0x20 || scalar.value == 0x7F {
                text.append(contentsOf: PercentEncoding.segment(String(scalar)).unicodeScalars)
            } else {
                text.append(scalar)
            }
        }
        return String(text)
    }
}
