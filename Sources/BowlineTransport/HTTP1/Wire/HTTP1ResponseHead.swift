package import BowlineCore
package import NIOCore

/// The status line and fields of a response.
package struct HTTP1ResponseHead: Sendable {
    /// The information in a response about further use of its connection (RFC 9112 §9.3).
    package struct Persistence: Sendable, Hashable {
        /// Whether the connection may carry another request once this response has ended and nothing follows it.
        package var keepAlive: Bool
        /// N of `Keep-Alive: timeout=N`, in seconds; nil if absent, malformed or above 999,999,999.
        package var keepAliveTimeout: Int?
    }

    /// 100 to 999.
    package var statusCode: Int
    /// 0 or 1; a higher minor version of HTTP/1 counts as 1 (RFC 9110 §2.5).
    package var minorVersion: Int
    /// The reason phrase as received; any bytes but control characters.
    package var reasonBytes: ByteBuffer
    package var fields: ReceivedFields
    package var persistence: Persistence

    /// The reason phrase, decoded as UTF-8. Invalid bytes become U+FFFD.
    package var reason: String { String(buffer: reasonBytes) }

    /// The status code with its reason phrase.
    package var status: HTTPResponse.Status {
        HTTPResponse.Status(code: statusCode, reasonPhrase: reason)
    }
}
