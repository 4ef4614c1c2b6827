/// The user and the password for a proxy.
///
/// An HTTP proxy gets them in the field `Proxy-Authorization` (Basic, RFC 7617), a SOCKS5 proxy by RFC 1929. They never
/// reach an origin. The description contains neither user nor password.
public struct ProxyCredentials: Sendable {
    /// The user, not percent-encoded.
    public let user: String
    /// The password, not percent-encoded; may be empty.
    public let password: String

    /// Makes credentials. ``Proxy/init(_:credentials:)`` checks them, because each kind of proxy has its own limits.
    public init(user: String, password: String) {
        self.user = user
        self.password = password
    }
}

extension ProxyCredentials: Hashable {
    /// Whether user and password have the same bytes. A proxy gets the bytes.
    public static func == (left: ProxyCredentials, right: ProxyCredentials) -> Bool {
        left.user.hasBytes(of: right.user) && left.password.hasBytes(of: right.password)
    }

    /// Hashes the bytes of user and password.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(Array(user.utf8))
        hasher.combine(Array(password.utf8))
    }
}

extension ProxyCredentials {
    /// Returns why a proxy of this kind cannot be sent these credentials; nil: it can.
    func problem(for kind: Proxy.Kind) -> String? {
        for byte in (user + password).utf8 where byte < 0x20 || byte == 0x7F {
            return "user or password has a control character (byte \(byte))"
        }
        switch kind {
        case .http, .https:
            // RFC 7617 §2: a colon would end the user.
            return user.utf8.contains(UInt8(ascii: ":")) ? "user has a colon, which Basic credentials cannot have" : nil
        case .socks5:
            // RFC 1929 §2: each length is one byte, and there is no method for a password without a user.
            if user.isEmpty { return "user is empty" }
            if user.utf8.count > 255 { return "user is longer than 255 bytes" }
            return password.utf8.count > 255 ? "password is longer than 255 bytes" : nil
        }
    }
}

extension ProxyCredentials: CustomStringConvertible, CustomReflectable {
    /// The type's name. Contains neither user nor password.
    public var description: String { "ProxyCredentials" }

    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
