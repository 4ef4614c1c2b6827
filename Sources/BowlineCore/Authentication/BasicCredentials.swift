/// The credentials of HTTP's Basic scheme (RFC 7617), as `Authorization` and `Proxy-Authorization` carry them.
package enum BasicCredentials {
    /// Returns `Basic ` and the Base64 of user and password in UTF-8.
    ///
    /// - Parameter user: Must not have a colon, because a colon ends the user.
    package static func fieldValue(user: String, password: String) -> String {
        "Basic " + base64(Array("\(user):\(password)".utf8))
    }

    /// Returns the bytes in Base64 (RFC 4648 §4).
    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = 0
            for offset in 0..<3 { bits = bits << 8 | (offset < group.count ? Int(group[start + offset]) : 0) }
            for offset in 0..<4 {
                text.append(offset <= group.count ? digits[bits >> (18 - 6 * offset) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
