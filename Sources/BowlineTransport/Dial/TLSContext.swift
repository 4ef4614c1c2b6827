internal import BowlineCore
internal import NIOCore
internal import NIOSSL

/// Makes NIOSSL's context from ``TLSOptions``, once per client, and the TLS handlers of its connections.
///
/// Files and texts of the user's are read with the client, so that a mistake in them is an error there. The system's roots,
/// which take milliseconds, are loaded when they are first needed, away from the event loops.
final class TLSContext: Sendable {
    private let options: TLSOptions
    private let context: SharedLoad<NIOSSLContext>

    /// - Parameters:
    ///   - variable: Looks up a variable of the environment.
    ///   - willLoadRoots: Called before the system's roots are read, on the thread that reads them.
    /// - Throws: `invalidConfiguration`.
    init(
        _ options: TLSOptions, negotiation: HTTP2Options.Negotiation = .http1Only,
        variable: (String) -> String? = CertificateFiles.variable,
        willLoadRoots: @escaping @Sendable () -> Void = {}
    ) throws {
        self.options = options
        let configuration = try TLSConfiguration(options, negotiation)
        guard options.trustRoots == .system, options.verification != .disabled else {
            let made = try Self.make(configuration)
            context = SharedLoad { made }
            return
        }
        // Whether key and certificate belong together does not depend on the roots.
        if options.identity != nil { _ = try Self.make(configuration) }
        let roots = SystemRoots(variable)
        context = SharedLoad {
            var configuration = configuration
            willLoadRoots()
            configuration.trustRoots = try roots.load()
            return try Self.make(configuration)
        }
    }

    private static func make(_ configuration: TLSConfiguration) throws -> NIOSSLContext {
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            // The key could be read: so it is the certificate's that it is not.
            let message =
                (error as? NIOSSLError) == .failedToLoadPrivateKey
                ? "tls.identity: the private key does not belong to the certificate"
                : "tls: certificate and key were not accepted (\(type(of: error)))"
            throw ServiceError(.invalidConfiguration, message, underlying: error)
        }
    }

    /// Calls back on `loop`, which is the caller's, when handlers can be made: at once but for a client's first dials.
    ///
    /// - Returns: What ``forget(_:)`` wants; nil: it has called back.
    func whenLoaded(
        on loop: any EventLoop, _ callback: @escaping @Sendable (Result<NIOSSLContext, any Error>) -> Void
    ) -> SharedLoadTicket? {
        context.whenLoaded(on: loop, callback)
    }

    /// Forgets a dial that has ended before the roots were loaded.
    func forget(_ ticket: SharedLoadTicket) {
        context.forget(ticket)
    }

    /// Whether the TLS library, which does not know HTTP/2, lets peers renegotiate.
    var mayRenegotiate: Bool { options.renegotiation != .never }

    /// Why no peer can ever be good for `origin`; nil: one may be.
    func failure(of origin: Origin) -> TLSFailure? {
        let identity = identity(for: origin)
        return options.verification == .full && !identity.isMatchable ? TLSFailure(.unnamableHost(identity.host)) : nil
    }

    private func identity(for origin: Origin) -> ReferenceIdentity {
        ReferenceIdentity(host: options.serverName ?? origin.host)
    }

    /// The TLS handler of a new connection to `origin`.
    ///
    /// NIOSSL's own matching of names takes an iPAddress for a name, partial wildcards, and no underscores: BoringSSL
    /// checks chain, usage and dates, and ``ReferenceIdentity`` the name. The handshake is not completed before that:
    /// the peer receives nothing of a request. Our certificate it may get with TLS 1.2, before the check; with TLS 1.3
    /// ``DialWaiter`` drops the flight that contains it.
    func makeHandler(for origin: Origin, with context: NIOSSLContext) throws -> NIOSSLClientHandler {
        let identity = identity(for: origin)
        guard options.verification == .full else {
            return try NIOSSLClientHandler(context: context, serverHostname: identity.serverName)
        }
        return try NIOSSLClientHandler._makeSSLClientHandler(
            context: context, serverHostname: identity.serverName
        ) { certificate, channel in
            let names = PresentedName.all(of: certificate)
            guard identity.matches(names) else {
                let failure = TLSFailure(.otherName(host: identity.host, names: PresentedName.summary(names)))
                return channel.eventLoop.makeFailedFuture(failure)
            }
            return channel.eventLoop.makeSucceededVoidFuture()
        }
    }
}

extension PresentedName {
    /// The subject alternative names of a certificate. Empty if the extension is missing, there twice, or broken.
    static func all(of certificate: NIOSSLCertificate) -> [PresentedName] {
        certificate._subjectAlternativeNames().map { name in
            switch name.nameType {
            case .dnsName: .dns(Array(name.contents))
            case .ipAddress: .address(Array(name.contents))
            default: .other
            }
        }
    }
}

extension TLSConfiguration {
    /// Reads what the user's options name, the system's roots aside.
    fileprivate init(_ options: TLSOptions, _ negotiation: HTTP2Options.Negotiation) throws {
        self = .makeClientConfiguration()
        minimumTLSVersion = options.minimumVersion == .tls13 ? .tlsv13 : .tlsv12
        applicationProtocols =
            switch negotiation {
            case .automatic: ["h2", "http/1.1"]
            case .http1Only: ["http/1.1"]
            case .http2Only: ["h2"]
            }
        certificateVerification = options.verification == .disabled ? .none : .noHostnameVerification
        verifySignatureAlgorithms = Self.acceptedSignatures
        // BoringSSL's, and P-521: a TLS 1.2 certificate's key has to be on one of these curves.
        curves = [.x25519_MLKEM768, .x25519, .secp256r1, .secp384r1, .secp521r1]
        renegotiationSupport = options.renegotiation == .once ? .once : .none
        shutdownTimeout = .seconds(1)
        trustRoots = try Self.trustRoots(options.trustRoots)
        if let identity = options.identity { try apply(identity) }
    }

    /// BoringSSL's, in its order, with P-521 and Ed25519 before the last, which is SHA-1.
    private static var acceptedSignatures: [SignatureAlgorithm] {
        [
            .ecdsaSecp256R1Sha256, .rsaPssRsaeSha256, .rsaPkcs1Sha256, .ecdsaSecp384R1Sha384, .rsaPssRsaeSha384,
            .rsaPkcs1Sha384, .ecdsaSecp521R1Sha512, .rsaPssRsaeSha512, .rsaPkcs1Sha512, .ed25519, .rsaPkcs1Sha1,
        ]
    }

    private static func trustRoots(_ roots: TLSOptions.TrustRoots) throws -> NIOSSLTrustRoots {
        do {
            switch roots {
            case .system: return .certificates([])
            case .file(let path):
                return .certificates(try CertificateFiles.certificates(in: CertificateFiles.bytes(of: path)))
            case .pem(let text): return .certificates(try CertificateFiles.certificates(in: Array(text.utf8)))
            }
        } catch {
            throw Self.invalid("tls.trustRoots", "no certificate in PEM could be read", error)
        }
    }

    private mutating func apply(_ identity: TLSOptions.Identity) throws {
        let chain: [NIOSSLCertificate]
        do {
            switch identity {
            case .files(let path, _, _):
                chain = try CertificateFiles.certificates(in: CertificateFiles.bytes(of: path))
            case .pem(let text, _, _): chain = try CertificateFiles.certificates(in: Array(text.utf8))
            }
        } catch {
            throw Self.invalid("tls.identity", "no certificate in PEM could be read", error)
        }
        certificateChain = chain.map { .certificate($0) }
        privateKey = .privateKey(try Self.key(of: identity))
    }

    private static func key(of identity: TLSOptions.Identity) throws -> NIOSSLPrivateKey {
        guard identity.hasUsablePassphrase else {
            throw invalid("tls.identity", "passphrase must be 1 to 1023 ASCII characters", nil)
        }
        var isEncrypted = false
        do {
            let bytes =
                switch identity {
                case .files(_, let path, _): try CertificateFiles.bytes(of: path)
                case .pem(_, let text, _): Array(text.utf8)
                }
            isEncrypted = CertificateFiles.isEncrypted(bytes)
            return try CertificateFiles.key(in: bytes, passphrase: identity.passphrase)
        } catch {
            let reason =
                switch (isEncrypted, identity.passphrase) {
                case (false, _): "no private key in PEM could be read"
                case (true, nil): "the private key is encrypted: give its passphrase"
                case (true, _): "the private key could not be decrypted: its passphrase may be another"
                }
            throw invalid("tls.identity", reason, error)
        }
    }

    /// What is wrong with an option; where a file could not be read, that is said instead.
    private static func invalid(_ path: String, _ reason: String, _ underlying: (any Error)?) -> ServiceError {
        let reason = (underlying as? FileFailure)?.message ?? reason
        return ServiceError(.invalidConfiguration, "\(path): \(reason)", underlying: underlying)
    }
}
