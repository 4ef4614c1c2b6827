internal import NIOSSL

/// How a ``LoopbackServer`` encrypts its connections.
public struct LoopbackTLS: Sendable {
    /// Protocol versions.
    public enum Version: Sendable, Hashable {
        /// TLS 1.2 (RFC 5246).
        case tls12
        /// TLS 1.3 (RFC 8446).
        case tls13
    }

    /// The certificate and key it shows. Default `TestCertificates.server`.
    public var identity = TestCertificates.server
    /// What it requires of clients: a certificate issued by these authorities (PEM); nil: none. Default nil.
    public var clientAuthority: String?
    /// The application protocols it accepts, best first (ALPN). Default none; of a server that speaks
    /// HTTP/2 `h2` and `http/1.1`.
    public var applicationProtocols: [String] = []
    /// The oldest version it speaks. Default TLS 1.2.
    public var minimumVersion = Version.tls12
    /// The newest version it speaks. Default TLS 1.3.
    public var maximumVersion = Version.tls13

    /// Makes the defaults with a certificate.
    public init(_ identity: TestCertificates.Identity = TestCertificates.server) {
        self.identity = identity
    }

    /// The defaults, but clients have to show a certificate issued by `TestCertificates.authority`.
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
