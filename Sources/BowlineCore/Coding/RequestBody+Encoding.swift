extension RequestBody {
    /// Returns a body with a value that is encoded at once.
    ///
    /// To use the client's own encoder, call the client's methods, for example `client.post("users", json: user)`.
    ///
    /// - Throws: ``ServiceError`` with code `encodingFailed`. The message names the type and the coding path;
    ///   `underlying` is the encoder's error.
    public static func encoded<Value: Encodable>(_ value: Value, by encoder: any BodyEncoder) throws -> RequestBody {
        do {
            var body = RequestBody.bytes(try encoder.encodeBody(value))
            body.contentType = encoder.contentType
            return body
        } catch {
            throw ServiceError(encoding: Value.self, error)
        }
    }
}
