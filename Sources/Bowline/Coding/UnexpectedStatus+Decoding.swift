public import BowlineCore

extension UnexpectedStatus {
    /// Decodes the body that was kept.
    ///
    /// ```swift
    /// catch let error as ServiceError where error.unexpectedStatus?.status == .conflict {
    ///     let conflict = try error.unexpectedStatus?.decode(Conflict.self)
    /// }
    /// ```
    /// - Parameters:
    ///   - type: The type to decode.
    ///   - decoder: The decoder; nil: the client's decoder.
    /// - Throws: ``ServiceError`` `decodingFailed`, which names the type and the coding path, but nothing from the
    ///   body. It is also thrown if the body is longer than ``bodyLimit``, or was cut off.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, using decoder: (any BodyDecoder)? = nil
    ) throws -> Value {
        guard !isTruncated else {
            throw ServiceError(
                .decodingFailed,
                "cannot decode the body of a response with status \(status.code): only its first \(body.readableBytes) bytes "
                    + "were kept",
                progress: .responseStarted, phase: .receivingBody
            )
        }
        let decoder = decoder ?? decoding?.decoder ?? .json
        do {
            return try decoder.decodeBody(type, from: body)
        } catch {
            let mediaType = fields[.contentType].flatMap(MediaType.name)
            var failure = ServiceError(
                decoding: type, isEmpty: body.readableBytes == 0, format: decoder.contentType, mediaType: mediaType,
                error)
            failure.status = status
            failure.mediaType = mediaType
            throw failure
        }
    }
}
