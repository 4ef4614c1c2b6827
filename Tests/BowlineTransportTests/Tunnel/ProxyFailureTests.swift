import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The failures of a proxy")
struct ProxyFailureTests {
    static let proxy = "http://proxy.example:3128"

    static let rows: [(ProxyFailure, String)] = [
        (.refused(status: 302), "refused the tunnel with status 302 (redirects of a proxy are not followed)"),
        (.refused(status: 403), "refused the tunnel with status 403 (its rules do not allow this host or port)"),
        (.refused(status: 502), "refused the tunnel with status 502 (it could not connect to the origin)"),
        (.refused(status: 999), "refused the tunnel with status 999"),
        (.authenticationRequired(hadCredentials: false), "requires credentials (status 407)"),
        (.authenticationRequired(hadCredentials: true), "does not accept the credentials (status 407)"),
        (
            .invalidAnswer(HTTP1ParseError(.notHTTP1, line: 1, byte: 0x53)),
            "not valid HTTP/1.1: not an HTTP/1 status line (line 1, byte 0x53)"
        ),
        (.closedEarly(hasAnswered: false), "closed the connection before it answered"),
        (.closedEarly(hasAnswered: true), "closed the connection within its answer"),
        (.bytesBehindAnswer, "sent more bytes than its answer"),
        (.socksReply(1), "SOCKS reply 1 (general failure)"),
        (.socksReply(2), "SOCKS reply 2 (its rules do not allow this connection)"),
        (.socksReply(3), "SOCKS reply 3 (network unreachable)"),
        (.socksReply(4), "SOCKS reply 4 (host unreachable)"),
        (.socksReply(5), "SOCKS reply 5 (connection refused)"),
        (.socksReply(6), "SOCKS reply 6 (TTL expired)"),
        (.socksReply(7), "SOCKS reply 7 (command not supported)"),
        (.socksReply(8), "SOCKS reply 8 (address type not supported)"),
        (.socksReply(9), "SOCKS reply 9"),
        (.socksMethodRefused(hadCredentials: false), "accepts no connection without authentication"),
        (.socksMethodRefused(hadCredentials: true), "accepts neither user and password nor"),
        (.socksAuthenticationRefused, "does not accept the user or the password"),
        (.notSOCKS, "is not SOCKS version 5"),
        (.unusableName, "must have 1 to 255 bytes"),
        (.credentialsTooLong, "must have at most 255 bytes each"),
        (.connectionBroke("reset"), "broke: reset"),
    ]

    @Test("Each failure has a short message that names the proxy and is printable", arguments: rows.indices)
    func messages(index: Int) {
        let (failure, text) = Self.rows[index]
        let message = failure.message(proxy: Self.proxy)
        #expect(message.contains(text))
        #expect(message.contains("the proxy \(Self.proxy)"))
        #expect(message.utf8.count < 250)
        #expect(message.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
        #expect(failure.description == message.replacing("the proxy \(Self.proxy)", with: "the proxy"))
    }

    @Test("A failed authentication has a code of its own, and every other failure is a failed dial", .tags(.PX3))
    func codes() throws {
        let authentication: Set<ProxyFailure> = [
            .authenticationRequired(hadCredentials: false), .authenticationRequired(hadCredentials: true),
            .socksMethodRefused(hadCredentials: false), .socksMethodRefused(hadCredentials: true),
            .socksAuthenticationRefused,
        ]
        let route = Route(try ServiceURL("https://api.example").origin, proxy: try Proxy(Self.proxy))
        for (failure, _) in Self.rows {
            let error = ServiceError.dialFailed(failure, step: .tunnel, route: route, limit: .seconds(10))
            let isAuthentication = authentication.contains(failure)
            #expect(error.code == (isAuthentication ? .proxyAuthenticationRequired : .proxyFailed))
            #expect(error.message == failure.message(proxy: Self.proxy))
            #expect(error.progress == .neverSent)
            #expect(error.underlying as? ProxyFailure == failure)
            #expect(ServiceError.Code.temporary.contains(error.code) == !isAuthentication)
        }
    }
}
