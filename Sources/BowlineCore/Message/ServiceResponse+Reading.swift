public import NIOCore

extension ServiceResponse {
    /// Reads the whole body into one buffer, whatever the status; see ``ResponseBody/collect(upTo:)``.
    ///
    /// - Parameter limit: The most bytes to accept.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more; else what reading throws.
    public func collect(upTo limit: Int) async throws -> ByteBuffer {
        try await body.collect(upTo: limit)
    }

    /// Reads the whole body as text, whatever the status: UTF-8, or ISO-8859-1 where `Content-Type` says so. Bytes that
    /// are not valid become U+FFFD.
    ///
    /// - Parameter limit: The most bytes to accept. Default 16 MiB.
    /// - Throws: ``ServiceError`` `bodyTooLarge` if there are more; else what reading throws.
    public func text(upTo limit: Int = 16 << 20) async throws -> String {
        let bytes = try await body.collect(upTo: limit)
        guard isLatin1 else { return String(buffer: bytes) }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: bytes.readableBytesView.lazy.map { Unicode.Scalar($0) })
        return String(text)
    }

    private var isLatin1: Bool {
        guard let type = receivedFields[.contentType]?.lowercased() else { return false }
        return type.split(separator: ";").dropFirst().contains { parameter in
            let value = parameter.filter { $0 != " " && $0 != "\"" && $0 != "\t" }
            return value == "charset=iso-8859-1" || value == "charset=latin1"
        }
    }
}
