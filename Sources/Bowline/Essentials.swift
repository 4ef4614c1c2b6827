// Everything that Bowline uses of Foundation. No other file imports Foundation. If the platform has
// FoundationEssentials, Bowline uses only that. So it does not make an application link the full Foundation with its
// locales and formatters.
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
    /// - Throws: `EncodingError`, or any error of the value's `encode(to:)`.
    public func encodeBody<Value: Encodable>(_ value: Value) throws -> ByteBuffer {
        ByteBuffer(bytes: try encode(value))
    }
}

extension BodyEncoder where Self == JSONEncoder {
    /// A new JSON encoder with the defaults of a client: `JSONEncoder()`, with dates in ISO 8601
    /// (`2026-11-22T20:15:00Z`).
    ///
    /// Change it before you give it to a client:
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

extension JSONDecoder: BodyDecoder {
    /// `application/json`.
    public var contentType: String { "application/json" }

    /// Decodes a value from JSON (RFC 8259).
    ///
    /// - Throws: `DecodingError`, or any error of the value's `init(from:)`.
    public func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value {
        try decode(type, from: body.withUnsafeReadableBytes { Data($0) })
    }
}

extension BodyDecoder where Self == JSONDecoder {
    /// A new JSON decoder with the defaults of a client: `JSONDecoder()`, with dates in ISO 8601, with or without
    /// fractions of a second.
    ///
    /// Change it before you give it to a client:
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

extension BodyDecoding {
    /// The client's decoder if it is a `JSONDecoder`; else a new one with the defaults.
    var jsonDecoder: any BodyDecoder { decoder as? JSONDecoder ?? JSONDecoder.json }
}

/// The environment of this process.
enum ProcessEnvironment {
    /// The names of the environment variables, in no particular order.
    static var names: [String] { Array(ProcessInfo.processInfo.environment.keys) }
}
