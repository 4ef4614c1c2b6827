public import NIOCore

/// Turns values into request bodies.
///
/// `JSONEncoder` conforms. For another format, conform your own type and set it as the client's `encoder`. The encoder
/// is called from many tasks at once.
public protocol BodyEncoder: Sendable {
    /// The media type of the bodies, for example `application/json`. It becomes the request's `Content-Type`, unless
    /// the request has one.
    var contentType: String { get }

    /// Encodes a value. The name is not `encode`, because `JSONEncoder` has a method of that name, and a call would be
    /// ambiguous.
    ///
    /// - Throws: any error. The request then fails with `encodingFailed` before a byte is sent.
    func encodeBody<Value: Encodable>(_ value: Value) throws -> ByteBuffer
}

/// Turns response bodies into values.
///
/// `JSONDecoder` conforms. For another format, conform your own type and set it as the client's `decoder`. The decoder
/// is called from many tasks at once.
public protocol BodyDecoder: Sendable {
    /// The media type that the decoder decodes, for example `application/json`. Endpoints send it as `Accept`.
    var contentType: String { get }

    /// Decodes a value from a whole body.
    ///
    /// - Throws: any error. `decode` then fails with `decodingFailed`.
    func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value
}
