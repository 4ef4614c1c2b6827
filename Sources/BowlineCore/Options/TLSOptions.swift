/// The trusted certificates, and the client's own, of encrypted connections.
public struct TLSOptions: Sendable, Hashable, ConfigurableOptions {
    /// Where trusted certificates come from.
    public enum TrustRoots: Sendable, Hashable {
        /// The operating system's; in their place, if `SSL_CERT_FILE` or `SSL_CERT_DIR` are set, the certificates (PEM)
        /// in the file and in the folders that they name. Folders are separated by colons. Both variables are read when
        /// the client is made, the certificates before its first encrypted connection.
        case system
        /// A PEM file of one or more certificates, read when the client is made.
        case file(String)
        /// PEM text of one or more certificates.
        case pem(String)
    }

    /// Which checks the peer's certificate must pass.
    public enum Verification: Sendable, Hashable {
        /// Chain, usage, dates, and the URL's host (RFC 9110 §4.3.4, RFC 9525): a name against the certificate's
        /// dNSNames, an address against its iPAddresses, never the common name. The default.
        case full
        /// Chain, usage and dates, not the name. For peers that are addressed in ways their certificate cannot name.
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

    /// Whether a peer may ask for a second handshake on a connection.
    ///
    /// TLS 1.2 over HTTP/1.1 only: TLS 1.3 has no renegotiation, and over HTTP/2 a peer that asks for one ends the
    /// connection in any case (RFC 9113 §9.2.1).
    public enum Renegotiation: Sendable, Hashable {
        /// No: a peer that asks for one ends the connection. The default.
        case never
        /// Once on each connection, for a service that asks for a certificate only when a request needs one. The peer
        /// has to show the certificate that it showed first.
        case once
    }

    /// The client's own certificate and key.
    ///
    /// A passphrase decrypts the key: 1 to 1023 ASCII characters. nil: the key is not encrypted.
    public enum Identity: Sendable, Hashable {
        /// PEM files: the certificate with its chain, and its private key; read when the client is made.
        case files(certificate: String, key: String, passphrase: String? = nil)
        /// PEM texts: the certificate with its chain, and its private key.
        case pem(certificate: String, key: String, passphrase: String? = nil)
    }

    /// Where trusted certificates come from. Default `.system`.
    public var trustRoots: TrustRoots = .system
    /// The client's certificate, for services that ask for one; nil: none is offered. Default nil.
    public var identity: Identity?
    /// Which checks the peer's certificate must pass. Default `.full`.
    public var verification: Verification = .full
    /// The oldest version accepted. Default TLS 1.2.
    public var minimumVersion: Version = .tls12
    /// Name to send (SNI, RFC 6066 §3) and to check in place of the URL's host, also where that is an address; for tests
    /// and unusual deployments. A host name of ASCII letters, digits, `-`, `_` and `.`, not an address. nil: the URL's
    /// host. Default nil.
    public var serverName: String?
    /// Whether a TLS 1.2 peer may ask for a second handshake (HTTP/1.1 only). Default `.never`.
    public var renegotiation: Renegotiation = .never

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            .choice(
                "verification", \.verification,
                ["full": .full, "withoutHostName": .withoutHostName, "disabled": .disabled]),
            .choice("minimumVersion", \.minimumVersion, ["tls12": .tls12, "tls13": .tls13]),
            .choice("renegotiation", \.renegotiation, ["never": .never, "once": .once]),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        if let serverName {
            let isValid = !serverName.isEmpty && serverName.utf8.allSatisfy(Self.mayStandInName)
            if !isValid || Origin.isIPAddress(serverName) {
                problems.append(
                    ConfigurationProblem("\(path).serverName", "must be a host name in ASCII, not an IP address"))
            }
        }
        if let identity, !identity.hasUsablePassphrase {
            problems.append(
                ConfigurationProblem("\(path).identity", "passphrase must be 1 to 1023 ASCII characters"))
        }
        return problems
    }

    private static func mayStandInName(_ byte: UInt8) -> Bool {
        PercentEncoding.isUnreserved(byte) && byte != UInt8(ascii: "~")
    }
}

extension TLSOptions.Identity {
    /// The passphrase that decrypts the key.
    package var passphrase: String? {
        switch self {
        case .files(_, _, let passphrase), .pem(_, _, let passphrase): passphrase
        }
    }

    /// Whether the TLS library takes the passphrase: it has room for 1023 bytes, and traps on one above 127.
    package var hasUsablePassphrase: Bool {
        guard let passphrase else { return true }
        return (1...1023).contains(passphrase.utf8.count) && passphrase.utf8.allSatisfy { $0 > 0 && $0 < 0x80 }
    }
}

extension TLSOptions.Identity: CustomStringConvertible, CustomReflectable {
    /// Where it comes from; never the key or its passphrase.
    public var description: String {
        switch self {
        case .files(let certificate, _, _): "files(certificate: \(certificate))"
        case .pem: "pem"
        }
    }

    public var customMirror: Mirror { Mirror(self, children: []) }
}
