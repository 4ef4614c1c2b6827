package import BowlineCore

/// The checked trailer fields of a request, ready for either protocol to encode.
///
/// Fields that frame, route, authenticate or describe a message are refused (RFC 9110 §6.5.1): a recipient that merges
/// them into the head would read a different message.
package struct CheckedTrailers: Sendable {
    package let fields: HTTPFields
    /// The bytes that the fields take as lines of HTTP/1.1.
    let byteCount: Int

    /// Checks trailer fields.
    ///
    /// - Throws: ``RequestCheckError``, which names the field that must not be sent.
    package init(_ fields: HTTPFields) throws(RequestCheckError) {
        var check = RequestFieldCheck(framing: .none)
        for field in fields {
            guard !Self.forbidden.contains(field.name.canonicalName) else {
                throw RequestCheckError(.forbiddenTrailer, fieldName: field.name.rawName)
            }
            try check.take(field)
        }
        self.fields = fields
        byteCount = check.byteCount
    }

    private static let forbidden: Set<String> = [
        "transfer-encoding", "content-length", "host", "connection", "keep-alive", "proxy-connection", "upgrade",
        "trailer",
        "te", "cache-control", "expect", "max-forwards", "pragma", "range", "if-match", "if-none-match",
        "if-modified-since", "if-unmodified-since", "if-range", "authorization", "proxy-authorization",
        "proxy-authenticate", "www-authenticate", "cookie", "set-cookie", "content-encoding", "content-type",
        "content-range", "age", "date", "expires", "location", "retry-after", "vary", "warning",
    ]
}
