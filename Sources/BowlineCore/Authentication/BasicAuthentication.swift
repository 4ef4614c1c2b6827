/// An authenticator that adds a user and a password to each request, in UTF-8 (RFC 7617).
///
/// Anyone who can read the request can read the password, so use it over `https`. The description contains neither user
/// nor password.
public struct BasicAuthentication: RequestAuthenticator, BoundedAuthenticator {
    private let field: HTTPField

    /// Makes credentials.
    ///
    /// - Parameters:
    ///   - user: The user, without a colon, because a colon ends the user in the field.
    ///   - password: The password; may be empty.
    /// - Throws: ``ServiceError`` `invalidConfiguration`: the user has a colon, or the user or the password has a
    ///   control character.
    public init(user: String, password: String) throws {
        guard !user.utf8.contains(UInt8(ascii: ":")) else {
            throw ServiceError(.invalidConfiguration, "BasicAuthentication: the user must not have a colon")
        }
        for byte in (user + password).utf8 where byte < 0x20 || byte == 0x7F {
            throw ServiceError(
                .invalidConfiguration,
                "BasicAuthentication: user and password must not have control characters (byte \(byte))"
            )
        }
        field = HTTPField(authorization: BasicCredentials.fieldValue(user: user, password: password))
    }

    /// Adds the `Authorization` field.
    public func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
        request.fields.append(field)
    }
}

extension BasicAuthentication: CustomStringConvertible, CustomReflectable {
    /// The type's name. Contains neither user nor password.
    public var description: String { "BasicAuthentication" }

    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
