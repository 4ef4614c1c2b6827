internal import BowlineCore

/// A coding that can be taken off a body (RFC 9110 §8.4.1).
package enum ContentCoding: String, Sendable, Hashable {
    /// RFC 1952; also `x-gzip`.
    case gzip
    /// RFC 1950, or without its envelope, as some servers send it.
    case deflate

    /// The coding with this name, in any case; nil if it is not one that can be undone here.
    init?(_ name: UnsafeRawBufferPointer) {
        if name.equals("gzip") || name.equals("x-gzip") {
            self = .gzip
        } else if name.equals("deflate") {
            self = .deflate
        } else {
            return nil
        }
    }

    /// The codings of a response's body, in the order in which they were applied, `identity` left out.
    ///
    /// - Parameter limit: how many are undone at most.
    /// - Returns: nil if the body is to be left as it came: it has no coding, more than `limit`, or one that is unknown.
    ///   A body is decoded whole or not at all: `Content-Encoding` never names only some of the codings that are left.
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
