/// Options of encrypted connections: the trusted certificates, the checks of the peer, and the client's own certificate.
///
/// Two values are equal if all their properties are equal. ``verifyPeer`` is compared by identity.
public struct TLSOptions: Sendable, Hashable, ConfigurableOptions {
    /// The source of trusted certificates.
    public enum TrustRoots: Sendable, Hashable {
        /// The operating system's certificates. If the environment variable `SSL_CERT_FILE` or `SSL_CERT_DIR` is set,
        /// only the certificates (PEM) in that file and in those folders are trusted. Colons separate several folders.
        /// Both variables are read when the client is made. The certificates are read before the client's first
        /// encrypted connection.
        case system
        /// A PEM file with one or more certificates. Read when the client is made.
        case file(String)
        /// PEM text with one or more certificates.
        case pem(String)
    }

    /// Certificates that are trusted in addition to ``trustRoots``.
    public enum AdditionalRoots: Sendable, Hashable {
        /// A PEM file with one or more certificates. Read when the client is made.
        case file(String)
        /// PEM text with one or more certificates.
        case pem(String)
    }

    /// Which checks the peer's certificate must pass.
    public enum Verification: Sendable, Hashable {
        /// All checks: the chain, usage, dates, and the URL's host (RFC 9110 §4.3.4, RFC 9525). A host name is compared
        /// with the certificate's dNSNames, an IP address with its iPAddresses. The common name is never used. This is
        /// the default.
        case full
        /// The chain, usage and dates, but not the host. For peers that are reached by names or addresses that their
        /// certificate cannot contain.
        case withoutHostName
        /// No checks except ``TLSOptions/pins`` and ``TLSOptions/verifyPeer``. Without them, anyone can pretend to be
        /// the service: for experiments on loopback only.
        case disabled
    }

    /// The oldest protocol version to accept.
    public enum Version: Sendable, Hashable {
        /// TLS 1.2 (RFC 5246) or newer.
        case tls12
        /// TLS 1.3 (RFC 8446) or newer.
        case tls13
    }

    /// The methods that the client offers to agree on the key of a connection.
    public enum KeyExchange: Sendable, Hashable {
        /// X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem), then the curves of `.classical`. The peer chooses. X25519MLKEM768
        /// protects recorded connections against later quantum computers. This is the default.
        case hybrid
        /// The elliptic curves X25519, P-256, P-384 and P-521. For networks that drop a first message in two packets, and
        /// for programs whose CPU goes into handshakes.
        case classical
    }

    /// Whether a peer may ask for a second handshake on a connection.
    ///
    /// Only for TLS 1.2 over HTTP/1.1: TLS 1.3 has no renegotiation. Over HTTP/2 the connection always ends if the peer
    /// asks for a second handshake (RFC 9113 §9.2.1).
    public enum Renegotiation: Sendable, Hashable {
        /// No. The connection ends if the peer asks for a second handshake. This is the default.
        case never
        /// Once on each connection. For a service that asks for the client's certificate only when a request needs it.
        /// The peer must show the same certificate as in the first handshake.
        case once
    }

    /// The client's own certificate and key.
    ///
    /// The passphrase decrypts the key: 1 to 1023 ASCII characters. nil: the key is not encrypted.
    public enum Identity: Sendable, Hashable {
        /// PEM files: the certificate with its chain, and its private key. Read when the client is made, and again when
        /// they change (``TLSOptions/reloadsIdentity``).
        case files(certificate: String, key: String, passphrase: String? = nil)
        /// PEM texts: the certificate with its chain, and its private key.
        case pem(certificate: String, key: String, passphrase: String? = nil)
    }

    /// Where the secrets of encrypted connections are written.
    ///
    /// With the log, a program such as Wireshark decrypts recorded connections. Any reader of the log can do this
    /// too. The format is that of NSS (`draft-ietf-tls-keylogfile`).
    public enum KeyLog: Sendable, Hashable {
        /// The file at this path. It is made if it does not exist, so that only its owner may read it (mode 0600). Lines
        /// are added at its end. It must be a regular file.
        case file(String)
        /// The file that the environment variable `SSLKEYLOGFILE` names; none if the variable is not set or empty. The
        /// variable is read when the client is made.
        case environment
    }

    /// The source of trusted certificates. Default `.system`.
    public var trustRoots: TrustRoots = .system
    /// Certificates that are trusted in addition to ``trustRoots``, for example the authority of a company beside the
    /// system's; nil: none. Default nil.
    public var additionalRoots: AdditionalRoots?
    /// The pins of the keys that the peer's certificate may have; empty: any key. Default empty.
    ///
    /// Checked in addition to ``verification``, and also with `.disabled`. The pins apply to each host that the client
    /// connects to. Only the key of the peer's own certificate is compared, not the keys of its authorities: to accept
    /// one authority only, set ``trustRoots``. Always pin a second key that is not in use yet. Otherwise the client
    /// cannot connect any more when the service loses its key.
    public var pins: Set<PublicKeyPin> = []
    /// A check by your program, after the chain, the host and the pins have been accepted; nil: none. Default nil.
    ///
    /// What the closure throws is the `underlying` error of `tlsHandshakeFailed`. The peer gets no byte of a request
    /// before the closure has returned.
    public var verifyPeer: PeerVerification?
    /// The client's certificate, for services that ask for it; nil: the client offers no certificate. Default nil.
    public var identity: Identity?
    /// Whether the files of ``identity`` are read again after they have changed. Default true.
    ///
    /// While the client dials, it compares the files with those that it has read, at most once per second. The dials do
    /// not wait for this. When the files have changed, the next connections use the new certificate; open connections
    /// keep theirs. Files that cannot be read, or whose key does not belong to the certificate, change nothing: the
    /// client keeps its certificate and logs a warning once for each change. Only regular files are read again.
    public var reloadsIdentity = true
    /// Which checks the peer's certificate must pass. Default `.full`.
    public var verification: Verification = .full
    /// The oldest TLS version accepted. Default TLS 1.2.
    public var minimumVersion: Version = .tls12
    /// The methods that the client offers to agree on the key of a connection. Default `.hybrid`. With TLS 1.2 keys are
    /// always agreed on by elliptic curves.
    public var keyExchange: KeyExchange = .hybrid
    /// The host name to send (SNI, RFC 6066 §3) and to compare with the certificate; nil: the URL's host. For tests and
    /// unusual deployments. It replaces the URL's host even if that is an address, but must not be an address itself.
    /// Only ASCII letters, digits, `-`, `_` and `.`. Default nil.
    public var serverName: String?
    /// Whether a TLS 1.2 peer may ask for a second handshake (HTTP/1.1 only). Default `.never`.
    public var renegotiation: Renegotiation = .never
    /// Where the secrets of connections are written, to decrypt recorded connections; nil: nowhere. Default nil. For
    /// debugging only. The environment variable `SSLKEYLOGFILE` has no effect unless this is `.environment`.
    public var keyLog: KeyLog?

    /// Makes the defaults.
    public init() {}

    package static var knobs: [OptionKnob<Self>] {
        [
            .choice(
                "verification", \.verification,
                ["full": .full, "withoutHostName": .withoutHostName, "disabled": .disabled]),
            .choice("minimumVersion", \.minimumVersion, ["tls12": .tls12, "tls13": .tls13]),
            .choice("keyExchange", \.keyExchange, ["hybrid": .hybrid, "classical": .classical]),
            .choice("renegotiation", \.renegotiation, ["never": .never, "once": .once]),
            OptionKnob("reloadsIdentity", .flag(\.reloadsIdentity)),
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
        if pins.contains(where: { $0.digest == nil }) {
            problems.append(
                ConfigurationProblem("\(path).pins", "must be SHA-256 digests in Base64: 44 characters each"))
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

    /// Whether the TLS library can use the passphrase. The library has room for 1023 bytes, and traps on a byte above
    /// 127.
    package var hasUsablePassphrase: Bool {
        guard let passphrase else { return true }
        return (1...1023).contains(passphrase.utf8.count) && passphrase.utf8.allSatisfy { $0 > 0 && $0 < 0x80 }
    }
}

extension TLSOptions.Identity: CustomStringConvertible, CustomReflectable {
    /// The path of the certificate, or `pem`; never the key or its passphrase.
    public var description: String {
        switch self {
        case .files(let certificate, _, _): "files(certificate: \(certificate))"
        case .pem: "pem"
        }
    }

    public var customMirror: Mirror { Mirror(self, children: []) }
}
