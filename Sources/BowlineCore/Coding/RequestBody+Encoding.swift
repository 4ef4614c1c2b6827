extension RequestBody {
    /// A value, encoded now.
    ///
    /// The client's own encoder is used by its verbs, as `client.post("users", json: user)`.
    ///
    /// - Throws: ``ServiceError`` `encodingFailed`, which names the type and the coding path and holds the encoder's
    ///   error.
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
