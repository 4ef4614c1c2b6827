public import NIOCore

/// Turns values into request bodies.
///
/// `JSONEncoder` is one; conform your own type for another format, and set it as the client's `encoder`. It is called
/// from many tasks at once.
public protocol BodyEncoder: Sendable {
    /// The bodies' media type, as `application/json`: the request's `Content-Type` unless it has one.
    var contentType: String { get }

    /// Encodes a value. Not called `encode`: `JSONEncoder` has one already, and the two could not be told apart.
    ///
    /// - Throws: anything; the request then fails with `encodingFailed` before a byte is sent.
    func encodeBody<Value: Encodable>(_ value: Value) throws -> ByteBuffer
}

/// Turns response bodies into values.
///
/// `JSONDecoder` is one; conform your own type for another format, and set it as the client's `decoder`. It is called
/// from many tasks at once.
public protocol BodyDecoder: Sendable {
    /// The media type that it decodes, as `application/json`: endpoints send it as `Accept`.
    var contentType: String { get }

    /// Decodes a value from a whole body.
    ///
    /// - Throws: anything; `decode` then fails with `decodingFailed`.
    func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value
}
