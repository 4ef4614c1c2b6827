/// The SHA-256 digest of a public key, as in RFC 7469 §2.4; see ``TLSOptions/pins``.
///
/// The digest covers the certificate's SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) in DER: the key with its algorithm. A
/// new certificate for the same key has the same pin. A pin is no secret. `Docs/TLS.md` has a command that computes the
/// pin of a certificate or a key.
///
/// ```swift
/// $0.tls.pins = ["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]
/// ```
public struct PublicKeyPin: Sendable, Hashable {
    private static let prefix = "sha256/"

    /// The digest in Base64.
    private let text: String

    /// Makes a pin. If the text is no pin, the client's initializer throws an error.
    ///
    /// - Parameter text: 32 bytes in Base64 (RFC 4648 §4), so 44 characters, with or without `sha256/` before them.
    public init(_ text: String) {
        self.text = text.hasPrefix(Self.prefix) ? String(text.dropFirst(Self.prefix.count)) : text
    }

    package init(digest: [UInt8]) {
        text = Base64.encode(digest)
    }

    /// The 32 bytes; nil: the text is no pin.
    package var digest: [UInt8]? {
        Base64.decode(text).flatMap { $0.count == 32 ? $0 : nil }
    }
}

extension PublicKeyPin: ExpressibleByStringLiteral {
    /// Makes a pin from its text, like ``init(_:)``.
    public init(stringLiteral text: String) {
        self.init(text)
    }
}

extension PublicKeyPin: CustomStringConvertible {
    /// The pin in the form `sha256/…`.
    public var description: String { Self.prefix + text }
}
