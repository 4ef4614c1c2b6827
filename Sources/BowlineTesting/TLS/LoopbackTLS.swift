internal import NIOSSL

/// How a ``LoopbackServer`` encrypts its connections.
public struct LoopbackTLS: Sendable {
    /// Versions of TLS.
    public enum Version: Sendable, Hashable {
        /// TLS 1.2 (RFC 5246).
        case tls12
        /// TLS 1.3 (RFC 8446).
        case tls13
    }

    /// The server's certificate and key. Default `TestCertificates.server`.
    public var identity = TestCertificates.server
    /// The authorities (PEM) that must have issued the client's certificate; nil: the server asks for no client
    /// certificate. Default nil.
    public var clientAuthority: String?
    /// The application protocols that the server accepts (ALPN), in order of preference. Default none; if the server
    /// has HTTP/2, `h2` and `http/1.1`.
    public var applicationProtocols: [String] = []
    /// The oldest TLS version that the server accepts. Default TLS 1.2.
    public var minimumVersion = Version.tls12
    /// The newest TLS version that the server accepts. Default TLS 1.3.
    public var maximumVersion = Version.tls13

    /// Makes the default settings with a certificate.
    public init(_ identity: TestCertificates.Identity = TestCertificates.server) {
        self.identity = identity
    }

    /// The default settings, but clients must present a certificate that `TestCertificates.authority` issued.
    public static var requiringClientCertificate: LoopbackTLS {
        var tls = LoopbackTLS()
        tls.clientAuthority = TestCertificates.authority
        return tls
    }

    func makeContext(offersHTTP2: Bool) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(identity.certificate.utf8))
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem))
        )
        configuration.minimumTLSVersion = minimumVersion == .tls12 ? .tlsv12 : .tlsv13
        configuration.maximumTLSVersion = maximumVersion == .tls12 ? .tlsv12 : .tlsv13
        configuration.applicationProtocols =
            offersHTTP2 && applicationProtocols.isEmpty ? ["h2", "http/1.1"] : applicationProtocols
        if let clientAuthority {
            configuration.trustRoots = .certificates(
                try NIOSSLCertificate.fromPEMBytes(Array(clientAuthority.utf8))
            )
            configuration.certificateVerification = .noHostnameVerification
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
