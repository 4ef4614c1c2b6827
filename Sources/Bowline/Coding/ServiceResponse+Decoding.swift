public import BowlineCore

extension ServiceResponse {
    /// Reads the whole body and decodes it.
    ///
    /// ```swift
    /// let user = try await client.get("users/42").decode(User.self)
    /// let problem = try await client.get("users/0").expecting(.notFound).decode(Problem.self)
    /// ```
    /// If you did not call `expecting`, a status other than 2xx fails with `unexpectedStatus`, because only a
    /// successful response contains the value.
    ///
    /// - Parameters:
    ///   - type: The type to decode.
    ///   - limit: The maximum number of bytes of the body. Default 16 MiB.
    ///   - decoder: The decoder; nil: the client's decoder.
    /// - Throws: ``ServiceError``: `unexpectedStatus`; `bodyTooLarge`; `decodingFailed`, which names the type and the
    ///   coding path, but nothing from the body; any error of reading the body.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, upTo limit: Int = 16 << 20, using decoder: (any BodyDecoder)? = nil
    ) async throws -> Value {
        let bytes = try await expectingSuccess().body.collect(upTo: limit)
        let decoder = decoder ?? (decoding ?? body.decoding)?.decoder ?? .json
        do {
            return try decoder.decodeBody(type, from: bytes)
        } catch {
            throw describing(
                ServiceError(
                    decoding: type, isEmpty: bytes.readableBytes == 0, format: decoder.contentType,
                    mediaType: receivedFields.mediaType, error))
        }
    }
}
