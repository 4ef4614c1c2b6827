internal import BowlineCore
internal import NIOCore
internal import NIOSSL

/// Makes NIOSSL's context from ``TLSOptions`` once per client, and the TLS handlers of the client's connections.
///
/// The user's files and texts are read when the client is made, so that a mistake in them makes the client's
/// initializer throw. The system's roots take milliseconds to load. They are loaded when they are first needed, away
/// from the event loops.
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
        // Checks now that the key belongs to the certificate. This check does not need the roots.
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
            // The key could be read, so the reason is that it does not belong to the certificate.
            let message =
                (error as? NIOSSLError) == .failedToLoadPrivateKey
                ? "tls.identity: the private key does not belong to the certificate"
                : "tls: certificate and key were not accepted (\(type(of: error)))"
            throw ServiceError(.invalidConfiguration, message, underlying: error)
        }
    }

    /// Calls `callback` on `loop` when TLS handlers can be made. For the first dials of a client, this may take a
    /// while; later it is at once. Call this function on `loop`.
    ///
    /// - Returns: The argument for ``forget(_:)``; nil: the callback has been called.
    func whenLoaded(
        on loop: any EventLoop, _ callback: @escaping @Sendable (Result<NIOSSLContext, any Error>) -> Void
    ) -> SharedLoadTicket? {
        context.whenLoaded(on: loop, callback)
    }

    /// Removes the callback of a dial that ended before the roots were loaded.
    func forget(_ ticket: SharedLoadTicket) {
        context.forget(ticket)
    }

    /// Whether the TLS library lets peers renegotiate. The library would allow it over HTTP/2 too, although it is
    /// forbidden there.
    var mayRenegotiate: Bool { options.renegotiation != .never }

    /// Returns why no certificate can be accepted for `origin`; nil: a certificate may be accepted.
    func failure(of origin: Origin) -> TLSFailure? {
        let identity = identity(for: origin)
        return options.verification == .full && !identity.isMatchable ? TLSFailure(.unnamableHost(identity.host)) : nil
    }

    private func identity(for origin: Origin) -> ReferenceIdentity {
        ReferenceIdentity(host: options.serverName ?? origin.host)
    }

    /// Makes the TLS handler of a new connection to `origin`.
    ///
    /// BoringSSL checks the chain, the usage and the dates; ``ReferenceIdentity`` checks the name. NIOSSL's own
    /// matching of names is not used: it accepts an iPAddress for a name, accepts partial wildcards, and accepts no
    /// underscores.
    ///
    /// The handshake does not complete before the name is checked, so a wrong peer receives nothing of a request. With
    /// TLS 1.2, the peer may receive our certificate before the check. With TLS 1.3, ``DialWaiter`` drops the flight
    /// that contains it.
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
    /// Returns the subject alternative names of a certificate. Empty if the extension is missing, duplicated or broken.
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
    /// Reads everything that the user's options name, except the system's roots.
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
        // BoringSSL's curves, and P-521. The key of a TLS 1.2 certificate has to be on one of these curves.
        curves = [.x25519_MLKEM768, .x25519, .secp256r1, .secp384r1, .secp521r1]
        renegotiationSupport = options.renegotiation == .once ? .once : .none
        shutdownTimeout = .seconds(1)
        trustRoots = try Self.trustRoots(options.trustRoots)
        if let identity = options.identity { try apply(identity) }
    }

    /// BoringSSL's algorithms in its order, with P-521 and Ed25519 added before the last, which is SHA-1.
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

    /// Returns an error that says what is wrong with an option, or which file could not be read.
    private static func invalid(_ path: String, _ reason: String, _ underlying: (any Error)?) -> ServiceError {
        let reason = (underlying as? FileFailure)?.message ?? reason
        return ServiceError(.invalidConfiguration, "\(path): \(reason)", underlying: underlying)
    }
}
