package import BowlineCore

/// The reason why a proxy opened no tunnel.
///
/// Contains no text of the proxy. A proxy could repeat the credentials in a reason phrase or a field, and a description
/// must never show them.
package enum ProxyFailure: Error, Sendable, Hashable {
    /// An HTTP proxy answered CONNECT with a status that is neither 2xx nor 407.
    case refused(status: Int)
    /// An HTTP proxy answered 407.
    ///
    /// - hadCredentials: Whether the request had credentials.
    case authenticationRequired(hadCredentials: Bool)
    /// The answer of an HTTP proxy is not HTTP/1.1, or exceeds a limit.
    case invalidAnswer(HTTP1ParseError)
    /// The proxy closed the connection before its answer was complete.
    ///
    /// - hasAnswered: Whether it had sent a part of the answer.
    case closedEarly(hasAnswered: Bool)
    /// The proxy sent more bytes than the answer to the client's last message.
    case bytesBehindAnswer
    /// A SOCKS proxy refused the connection with this reply code (RFC 1928 §6).
    case socksReply(UInt8)
    /// A SOCKS proxy accepts none of the offered ways to authenticate.
    ///
    /// - hadCredentials: Whether user and password were offered.
    case socksMethodRefused(hadCredentials: Bool)
    /// A SOCKS proxy refused user and password.
    case socksAuthenticationRefused
    /// The proxy's bytes are not SOCKS version 5.
    case notSOCKS
    /// The origin's name has no byte or more than 255 bytes, so SOCKS cannot carry it.
    case unusableName
    /// User or password have more than 255 bytes, so SOCKS cannot carry them.
    case credentialsTooLong
    /// The connection to the proxy broke. The text is the system's or the TLS library's, bounded and printable.
    case connectionBroke(String)

    /// Makes the failure for an error of the connection to the proxy.
    init(connectionError error: any Error) {
        let text = "\(error)".unicodeScalars.prefix(Self.longestText)
        self = .connectionBroke(String(text.map { (0x20..<0x7F).contains($0.value) ? Character($0) : "?" }))
    }

    private static var longestText: Int { 160 }

    /// The code of the caller's error.
    package var code: ServiceError.Code {
        switch self {
        // Some proxies answer CONNECT with 401 in place of 407.
        case .authenticationRequired, .refused(status: 401), .socksMethodRefused, .socksAuthenticationRefused:
            .proxyAuthenticationRequired
        default: .proxyFailed
        }
    }

    /// Describes the failure.
    ///
    /// - Parameter proxy: The proxy's URL without credentials; nil: the text does not name the proxy.
    package func message(proxy: String?) -> String {
        let proxy = proxy.map { "the proxy \($0)" } ?? "the proxy"
        switch self {
        case .refused(let status):
            return "\(proxy) refused the tunnel with status \(status)\(Self.meaning(ofStatus: status))"
        case .authenticationRequired(hadCredentials: false):
            return "\(proxy) requires credentials (status 407): add user and password to the proxy's URL"
        case .authenticationRequired(hadCredentials: true):
            return "\(proxy) does not accept the credentials (status 407); the client can only send them with Basic"
        case .invalidAnswer(let error): return "the answer of \(proxy) is not valid HTTP/1.1: \(error)"
        case .closedEarly(hasAnswered: false): return "\(proxy) closed the connection before it answered"
        case .closedEarly(hasAnswered: true): return "\(proxy) closed the connection within its answer"
        case .bytesBehindAnswer: return "\(proxy) sent more bytes than its answer"
        case .socksReply(let code):
            return "\(proxy) did not connect to the origin: SOCKS reply \(code)\(Self.meaning(ofReply: code))"
        case .socksMethodRefused(hadCredentials: false):
            return "\(proxy) accepts no connection without authentication: add user and password to the proxy's URL"
        case .socksMethodRefused(hadCredentials: true):
            return "\(proxy) accepts neither user and password nor a connection without authentication"
        case .socksAuthenticationRefused: return "\(proxy) does not accept the user or the password"
        case .notSOCKS: return "the answer of \(proxy) is not SOCKS version 5"
        case .unusableName: return "the host's name must have 1 to 255 bytes for \(proxy)"
        case .credentialsTooLong: return "user and password for \(proxy) must have at most 255 bytes each"
        case .connectionBroke(let text): return "the connection to \(proxy) broke: \(text)"
        }
    }

    /// The usual reasons of proxies for these statuses (RFC 9110 §15).
    private static func meaning(ofStatus status: Int) -> String {
        switch status {
        case 401: " (it requires credentials, or does not accept the given ones)"
        case 300...399: " (redirects of a proxy are not followed)"
        case 403: " (its rules do not allow this host or port)"
        case 405, 501: " (it does not support CONNECT)"
        case 502, 503: " (it could not connect to the origin)"
        case 504: " (the origin did not answer it in time)"
        default: ""
        }
    }

    /// RFC 1928 §6.
    private static func meaning(ofReply code: UInt8) -> String {
        switch code {
        case 1: " (general failure)"
        case 2: " (its rules do not allow this connection)"
        case 3: " (network unreachable)"
        case 4: " (host unreachable)"
        case 5: " (connection refused)"
        case 6: " (TTL expired)"
        case 7: " (command not supported)"
        case 8: " (address type not supported)"
        default: ""
        }
    }
}

extension ProxyFailure: CustomStringConvertible {
    package var description: String { message(proxy: nil) }
}
