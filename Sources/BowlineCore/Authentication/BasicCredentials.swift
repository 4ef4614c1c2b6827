/// The credentials of HTTP's Basic scheme (RFC 7617), as `Authorization` and `Proxy-Authorization` carry them.
package enum BasicCredentials {
    /// Returns `Basic ` and the Base64 of user and password in UTF-8.
    ///
    /// - Parameter user: Must not have a colon, because a colon ends the user.
    package static func fieldValue(user: String, password: String) -> String {
        "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
    }
}
