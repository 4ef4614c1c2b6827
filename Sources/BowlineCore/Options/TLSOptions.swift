/// Whom to trust and who to be when a connection is encrypted.
public struct TLSOptions: Sendable, Hashable {
    /// Where trusted certificates come from.
    public enum TrustRoots: Sendable, Hashable {
        /// The operating system's.
        case system
        /// A PEM file of one or more certificates, read when the client is made.
        case file(String)
        /// PEM text of one or more certificates.
        case pem(String)
    }

    /// What of the peer's certificate is checked.
    public enum Verification: Sendable, Hashable {
        /// Chain, validity and host name or IP address (RFC 9110 §4.3.4). The default.
        case full
        /// Chain and validity, not the name. For peers that are addressed in ways their certificate cannot name.
        case withoutHostName
        /// Nothing: anyone can be the peer. For experiments on loopback only.
        case disabled
    }

    /// The oldest protocol version to accept.
    public enum Version: Sendable, Hashable {
        /// TLS 1.2 (RFC 5246) or newer.
        case tls12
        /// TLS 1.3 (RFC 8446) or newer.
        case tls13
    }

    /// The client's own certificate and key.
    public enum Identity: Sendable, Hashable {
        /// PEM files: the certificate with its chain, and its private key; read when the client is made.
        case files(certificate: String, key: String)
        /// PEM texts: the certificate with its chain, and its private key.
        case pem(certificate: String, key: String)
    }

    /// Where trusted certificates come from. Default `.system`.
    public var trustRoots: TrustRoots = .system
    /// The client's certificate, for services that ask for one; nil: none is offered. Default nil.
    public var identity: Identity?
    /// What is checked. Default `.full`.
    public var verification: Verification = .full
    /// The oldest version accepted. Default TLS 1.2.
    public var minimumVersion: Version = .tls12
    /// Name to send (SNI, RFC 6066 §3) and to check in place of the URL's host, for tests and unusual deployments;
    /// ASCII. nil: the URL's host. Default nil.
    public var serverName: String?

    /// Makes the defaults.
    public init() {}

    package func problems(at path: String) -> [ConfigurationProblem] {
        guard let serverName else { return [] }
        let isValid = !serverName.isEmpty && serverName.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x2F }
        guard isValid, !Origin.isIPAddress(serverName) else {
            return [ConfigurationProblem("\(path).serverName", "must be a host name in ASCII, not an IP address")]
        }
        return []
    }
}

extension TLSOptions.Identity: CustomStringConvertible, CustomReflectable {
    /// Where it comes from; never the key.
    public var description: String {
        switch self {
        case .files(let certificate, _): "files(certificate: \(certificate))"
        case .pem: "pem"
        }
    }

    public var customMirror: Mirror { Mirror(self, children: []) }
}
