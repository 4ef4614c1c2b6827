public import BowlineCore

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension JSONDecoder: BodyDecoder {
    /// `application/json`.
    public var contentType: String { "application/json" }

    /// Decodes a value from JSON (RFC 8259).
    ///
    /// - Throws: `DecodingError`, or what the value's `init(from:)` throws.
    public func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value {
        try decode(type, from: body.withUnsafeReadableBytes { Data($0) })
    }
}

extension BodyDecoder where Self == JSONDecoder {
    /// A new JSON decoder as a client has by default: `JSONDecoder()`, with dates in ISO 8601, with or without fractions
    /// of a second.
    ///
    /// Change it before it is given to a client:
    /// ```swift
    /// let decoder = JSONDecoder.json
    /// decoder.keyDecodingStrategy = .convertFromSnakeCase
    /// ```
    public static var json: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            if let date = try? Date.ISO8601FormatStyle().parse(text) { return date }
            if let date = try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text) { return date }
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a date in ISO 8601")
        }
        return decoder
    }
}
