/// Options that say whether response bodies are decoded (`Content-Encoding`, RFC 9110 §8.4), and how large they may
/// become.
public struct DecompressionOptions: Sendable, Hashable, ConfigurableOptions {
    /// Whether the client offers gzip and deflate, and decodes bodies that use them. Default true.
    public var isEnabled = true
    /// The largest ratio of decoded bytes to received bytes. It is checked when the decoded body is larger than 1 MiB.
    /// 2 to 100,000; nil: no limit. Default 200.
    public var maximumRatio: Int? = 200
    /// How many bytes a decoded body may have, from 1; nil: no limit. Default 1 GiB.
    public var maximumBytes: Int? = 1 << 30
    /// How many stacked codings of a body are decoded; 1 to 16. A body with more codings stays as received. Default 5.
    public var maximumLayers = 5

    /// Makes the defaults.
    public init() {}

    /// Options that leave every body as received, and offer nothing.
    public static var off: DecompressionOptions {
        var options = DecompressionOptions()
        options.isEnabled = false
        return options
    }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("isEnabled", .flag(\.isEnabled)),
            OptionKnob("maximumRatio", .optionalInteger(\.maximumRatio, 2...100_000)),
            OptionKnob("maximumBytes", .optionalInteger(\.maximumBytes, 1...Int.max)),
            OptionKnob("maximumLayers", .integer(\.maximumLayers, 1...16)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

/// A request's own options for decoding its response. Each option that is not set is inherited from the client.
public struct DecompressionOverrides: Sendable, Hashable, ConfigurableOptions {
    /// Whether the request offers gzip and deflate, and its response is decoded. See
    /// ``DecompressionOptions/isEnabled``.
    public var isEnabled: Bool?
    /// The largest ratio of decoded bytes to received bytes; 2 to 100,000. See ``DecompressionOptions/maximumRatio``.
    public var maximumRatio: LimitOverride<Int> = .inherited
    /// How many bytes a decoded body may have; from 1. See ``DecompressionOptions/maximumBytes``.
    public var maximumBytes: LimitOverride<Int> = .inherited
    /// How many stacked codings are decoded; 1 to 16. See ``DecompressionOptions/maximumLayers``.
    public var maximumLayers: Int?

    /// Inherits everything.
    public init() {}

    /// Overrides that leave the body as received, and offer nothing.
    public static var off: DecompressionOverrides {
        var overrides = DecompressionOverrides()
        overrides.isEnabled = false
        return overrides
    }

    package var isInherited: Bool {
        isEnabled == nil && maximumRatio == .inherited && maximumBytes == .inherited && maximumLayers == nil
    }

    package func resolved(over options: DecompressionOptions) -> DecompressionOptions {
        var result = options
        if let isEnabled { result.isEnabled = isEnabled }
        result.maximumRatio = maximumRatio.resolved(over: options.maximumRatio)
        result.maximumBytes = maximumBytes.resolved(over: options.maximumBytes)
        if let maximumLayers { result.maximumLayers = maximumLayers }
        return result
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        resolved(over: DecompressionOptions()).problems(at: path)
    }
}

/// How a request's body is compressed.
public enum RequestCompression: String, Sendable, Hashable {
    /// The body is sent uncompressed.
    case none
    /// gzip (RFC 1952). The service must understand gzip, and few services announce that. A service that does not
    /// understand it answers 415 (RFC 9110 §15.5.16).
    case gzip
}
