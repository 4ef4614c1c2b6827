public import HTTPTypes
public import NIOCore

/// A response whose status the caller did not expect.
///
/// It is the `underlying` error of an error with the code `unexpectedStatus`. ``ServiceError/unexpectedStatus`` returns
/// it. Its description contains only the status. Read the fields and the body from its properties.
public struct UnexpectedStatus: Error, Sendable {
    /// How much of the body is kept, in bytes.
    public static let bodyLimit = 65_536

    /// The status.
    public let status: HTTPResponse.Status
    /// The header fields.
    public let fields: HTTPFields
    /// The first bytes of the body, 64 KiB at most. They are decompressed in the same way as the body of any other
    /// response.
    public let body: ByteBuffer
    /// Whether the body was longer than the part that is kept, or ended before its announced end.
    public let isTruncated: Bool
    /// The decoder of the client that sent the request; nil: the default decoder.
    package var decoding: BodyDecoding?

    /// The body as text, in the same encoding as ``ServiceResponse/text(upTo:)`` uses.
    public var text: String { TextEncoding.text(of: body, contentType: fields[.contentType]) }

    /// Makes an error of this kind, for stubs and middleware.
    public init(status: HTTPResponse.Status, fields: HTTPFields, body: ByteBuffer, isTruncated: Bool) {
        self.status = status
        self.fields = fields
        self.body = body
        self.isTruncated = isTruncated
    }
}

extension UnexpectedStatus: CustomStringConvertible, CustomReflectable {
    /// The status code.
    public var description: String { "unexpected status \(status.code)" }

    public var customMirror: Mirror { Mirror(self, children: ["status": status.code]) }
}

extension ServiceError {
    /// The response behind an `unexpectedStatus`; nil for any other error.
    public var unexpectedStatus: UnexpectedStatus? { underlying as? UnexpectedStatus }
}
