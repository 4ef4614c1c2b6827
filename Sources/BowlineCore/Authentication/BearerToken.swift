/// A token as a source of tokens hands it out (RFC 6750). Its description does not carry it.
public struct BearerToken: Sendable {
    /// The token: visible ASCII characters only.
    public let value: String
    /// How long it is good for, counted from the moment at which the source was asked, as an OAuth answer's `expires_in`;
    /// nil: until the service refuses it.
    public let lifetime: Duration?

    /// Makes a token. It is checked when it is used.
    public init(_ value: String, lifetime: Duration? = nil) {
        self.value = value
        self.lifetime = lifetime
    }

    /// The beginning of the field's value.
    static let scheme = "Bearer "

    /// The field that carries it; nil if it has a character that must not stand in one.
    var field: HTTPField? {
        guard !value.isEmpty, value.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        return HTTPField(authorization: Self.scheme + value)
    }
}

extension BearerToken: CustomStringConvertible, CustomReflectable {
    /// Its lifetime, not its value.
    public var description: String { "BearerToken(lifetime: \(lifetime.map { "\($0)" } ?? "unknown"))" }

    public var customMirror: Mirror { Mirror(self, children: ["lifetime": lifetime as Any]) }
}
