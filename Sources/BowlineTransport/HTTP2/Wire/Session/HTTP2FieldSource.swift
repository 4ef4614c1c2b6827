package import NIOCore

/// The fields of a request's head, or of its trailers, which encodes them at the moment when they are written.
///
/// A field section that is encoded has changed the compression table, so that it must be sent. A source keeps its
/// fields as they are until the session writes them.
package protocol HTTP2FieldSource {
    /// The bytes of names and values plus 32 for each field (RFC 9113 §6.5.2), of exactly the fields that `encode`
    /// writes.
    var listSize: Int { get }

    /// A size that `listSize` does not exceed, if one is known without a look at each field; else `listSize`.
    var listSizeBound: Int { get }

    /// Encodes each field, in order. The session has begun the section.
    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer)
}

extension HTTP2FieldSource {
    package var listSizeBound: Int { listSize }
}
