public import BowlineCore

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension JSONEncoder: BodyEncoder {
    /// `application/json`.
    public var contentType: String { "application/json" }

    /// Encodes a value as JSON (RFC 8259).
    ///
    /// - Throws: `EncodingError`, or what the value's `encode(to:)` throws.
    public func encodeBody<Value: Encodable>(_ value: Value) throws -> ByteBuffer {
        ByteBuffer(bytes: try encode(value))
    }
}

extension BodyEncoder where Self == JSONEncoder {
    /// A new JSON encoder as a client has by default: `JSONEncoder()`, with dates in ISO 8601 (`2026-11-22T20:15:00Z`).
    ///
    /// Change it before it is given to a client:
    /// ```swift
    /// let encoder = JSONEncoder.json
    /// encoder.keyEncodingStrategy = .convertToSnakeCase
    /// ```
    public static var json: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        return encoder
    }
}
