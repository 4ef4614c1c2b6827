package import NIOCore

/// The fields of a request's head or trailers. They are encoded at the moment when they are written.
///
/// Encoding a field section changes the compression table, so an encoded section must be sent. Therefore a source keeps
/// its fields unencoded until the session writes them.
package protocol HTTP2FieldSource {
    /// The bytes of names and values plus 32 for each field (RFC 9113 §6.5.2). It counts exactly the fields that
    /// `encode` writes.
    var listSize: Int { get }

    /// An upper bound of `listSize` that is known without a look at each field. If there is none: `listSize`.
    var listSizeBound: Int { get }

    /// Encodes each field, in order. The session has begun the section before.
    func encode(with encoder: inout HPACKSectionEncoder, into buffer: inout ByteBuffer)
}

extension HTTP2FieldSource {
    package var listSizeBound: Int { listSize }
}
