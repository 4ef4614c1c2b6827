/// A token that a source of tokens returns (RFC 6750). The description does not contain its value.
public struct BearerToken: Sendable {
    /// The token: visible ASCII characters only.
    public let value: String
    /// How long the token is valid, from the moment when the source was called. An OAuth response calls this
    /// `expires_in`. nil: the token is valid until the service refuses it.
    public let lifetime: Duration?

    /// Makes a token. The value is checked when the token is first used.
    public init(_ value: String, lifetime: Duration? = nil) {
        self.value = value
        self.lifetime = lifetime
    }

    /// The beginning of the `Authorization` field's value.
    static let scheme = "Bearer "

    /// The `Authorization` field with the token; nil: the token is empty, or has a character that is not visible ASCII.
    var field: HTTPField? {
        guard !value.isEmpty, value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return HTTPField(authorization: Self.scheme + value)
    }
}

extension BearerToken: CustomStringConvertible, CustomReflectable {
    /// The token's lifetime. Does not contain its value.
    public var description: String { "BearerToken(lifetime: \(lifetime.map { "\($0)" } ?? "unknown"))" }

    public var customMirror: Mirror { Mirror(self, children: ["lifetime": lifetime as Any]) }
}
