internal import BowlineCore

/// A content coding that Bowline can decode (RFC 9110 §8.4.1).
package enum ContentCoding: String, Sendable, Hashable {
    /// RFC 1952; also `x-gzip`.
    case gzip
    /// RFC 1950. Some servers send the data without the envelope of RFC 1950.
    case deflate

    /// Makes the coding with this name, in upper or lower case; nil: Bowline cannot decode it.
    init?(_ name: UnsafeRawBufferPointer) {
        if name.equals("gzip") || name.equals("x-gzip") {
            self = .gzip
        } else if name.equals("deflate") {
            self = .deflate
        } else {
            return nil
        }
    }

    /// Returns the codings of a response's body in the order in which they were applied, without `identity`.
    ///
    /// - Parameter limit: The maximum number of codings to decode.
    /// - Returns: the codings; nil: the body stays as received, because it has no coding, an unknown coding, or more
    ///   than `limit` codings. Either all codings are decoded or none, so that `Content-Encoding` is either correct or
    ///   removed.
    static func applied(in fields: ReceivedFields, limit: Int) -> [ContentCoding]? {
        var codings: [ContentCoding] = []
        var isDecodable = true
        fields.forEachListElement(of: "content-encoding") { name in
            guard isDecodable, !name.equals("identity") else { return }
            guard codings.count < limit, let coding = ContentCoding(name) else {
                isDecodable = false
                return
            }
            codings.append(coding)
        }
        return isDecodable && !codings.isEmpty ? codings : nil
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func equals(_ lowercased: StaticString) -> Bool {
        lowercased.withUTF8Buffer { equals(lowercased: UnsafeRawBufferPointer($0)) }
    }
}
