internal import BowlineCore
internal import NIOCore
internal import NIOSSL

/// Makes NIOSSL's context from ``TLSOptions``, and the TLS handlers of the client's connections.
///
/// The user's files and texts are read when the client is made, so that a mistake in them makes the client's
/// initializer throw. The system's roots take milliseconds to load. They are loaded when they are first needed, away
/// from the event loops. The context is made once per client, and once more each time the identity's files have changed.
final class TLSContext: Sendable {
    private let options: TLSOptions
    private let pins: Set<[UInt8]>
    private let context: SharedLoad<NIOSSLContext>
    /// nil: the identity is not read again.
    private let renewal: IdentityRenewal<NIOSSLContext, IdentityFiles.Stamp>?

    /// - Parameters:
    ///   - clock: Says when the identity's files are looked at again.
    ///   - variable: Looks up a variable of the environment.
    ///   - willLoadRoots: Called before the system's roots are read, on the thread that reads them.
    ///   - warn: Logs a message. Called on any thread.
    /// - Throws: `invalidConfiguration`.
    init(
        _ options: TLSOptions, negotiation: HTTP2Options.Negotiation = .http1Only,
        clock: any ServiceClock = MonotonicClock(), variable: (String) -> String? = CertificateFiles.variable,
        willLoadRoots: @escaping @Sendable () -> Void = {}, warn: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.options = options
        pins = try Self.digests(options.pins)
        // Before the files are read, so that a change during the reading is noticed later.
        let files = options.reloadsIdentity ? IdentityFiles(options.identity) : nil
        let stamp = files?.stamp
        let keyLog = try Self.keyLog(options.keyLog, variable, warn)
        let configuration = try TLSConfiguration(options, negotiation, keyLog)
        let loadsRoots = options.trustRoots == .system && options.verification != .disabled
        let roots = loadsRoots ? SystemRoots(variable) : nil
        let make: @Sendable (TLSConfiguration) throws -> NIOSSLContext = { configuration in
            guard let roots else { return try Self.make(configuration) }
            var configuration = configuration
            willLoadRoots()
            configuration.trustRoots = try roots.load()
            return try Self.make(configuration)
        }
        if loadsRoots {
            // Checks now that the key belongs to the certificate. This check does not need the roots.
            if options.identity != nil { _ = try Self.make(configuration) }
            context = SharedLoad { try make(configuration) }
        } else {
            let made = try make(configuration)
            context = SharedLoad { made }
        }
        guard let files, let stamp else {
            renewal = nil
            return
        }
        renewal = IdentityRenewal(
            stamp, clock: clock, look: { files.stamp },
            make: {
                var changed = configuration
                try changed.apply(try files.read())
                return try make(changed)
            }, warn: warn)
    }

    private static func digests(_ pins: Set<PublicKeyPin>) throws -> Set<[UInt8]> {
        let digests = Set(pins.compactMap(\.digest))
        // Options that were not validated reach this place too.
        guard digests.count == pins.count else {
            throw ServiceError(.invalidConfiguration, "tls.pins: must be SHA-256 digests in Base64: 44 characters each")
        }
        return digests
    }

    private static func keyLog(
        _ keyLog: TLSOptions.KeyLog?, _ variable: (String) -> String?, _ warn: @escaping @Sendable (String) -> Void
    ) throws -> KeyLogFile? {
        guard let path = keyLog?.path(variable) else { return nil }
        do {
            return try KeyLogFile(path, warn: warn)
        } catch {
            let reason = (error as? FileFailure)?.message ?? "the file could not be opened"
            throw ServiceError(.invalidConfiguration, "tls.keyLog: \(reason)", underlying: error)
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
        guard let renewal else { return context.whenLoaded(on: loop, callback) }
        if let renewed = renewal.renewed {
            renewal.dialled()
            callback(.success(renewed))
            return nil
        }
        return context.whenLoaded(on: loop) { result in
            if case .success = result { renewal.dialled() }
            callback(result)
        }
    }

    /// Removes the callback of a dial that ended before the roots were loaded.
    func forget(_ ticket: SharedLoadTicket) {
        context.forget(ticket)
    }

    /// Whether the TLS library lets peers renegotiate. The library would allow it over HTTP/2 too, although it is
    /// forbidden there.
    var mayRenegotiate: Bool { options.renegotiation != .never }

    /// Returns why no certificate can be accepted for `identity`; nil: a certificate may be accepted.
    func failure(of identity: ReferenceIdentity) -> TLSFailure? {
        options.verification == .full && !identity.isMatchable ? TLSFailure(.unnamableHost(identity.host)) : nil
    }

    /// Returns the identity that the certificate of `host` must have: `tls.serverName` if it is set, else the host.
    func identity(for host: String) -> ReferenceIdentity {
        ReferenceIdentity(host: options.serverName ?? host)
    }

    /// Adds the handlers of a new connection that belong to TLS.
    ///
    /// BoringSSL checks the chain, the usage and the dates; ``PeerCheck`` checks the name and the pins, and asks the
    /// program. NIOSSL's own matching of names is not used: it accepts an iPAddress for a name, accepts partial
    /// wildcards, and accepts no underscores.
    ///
    /// The handshake does not complete before the checks, so a wrong peer receives nothing of a request. With TLS 1.2,
    /// the peer may receive our certificate before the checks. With TLS 1.3, ``DialWaiter`` drops the flight that
    /// contains it.
    ///
    /// - Returns: The handlers. A channel over TLS to a proxy may have other handlers of the same types.
    func addHandlers(
        for identity: ReferenceIdentity, with context: NIOSSLContext, to pipeline: ChannelPipeline.SynchronousOperations
    ) throws -> TLSHandlers {
        let check = PeerCheck(
            host: identity.host, identity: options.verification == .full ? identity : nil, pins: pins,
            verification: options.verifyPeer)
        let boundary = TLSRecordBoundary()
        (try? pipeline.handler(type: TLSRecordBoundary.self))?.inner = boundary
        try pipeline.addHandler(boundary)
        let isDisabled = options.verification == .disabled
        let gate = check.verification != nil || (isDisabled && !check.isEmpty) ? PeerGate() : nil
        if let gate { try pipeline.addHandler(gate) }
        let name = identity.serverName
        let tls: NIOSSLClientHandler
        if check.isEmpty {
            tls = try NIOSSLClientHandler(context: context, serverHostname: name)
        } else if isDisabled, let gate {
            tls = try Self.handlerWithoutChainCheck(context, name, check, gate)
        } else {
            tls = try Self.handler(context, name, check, gate)
        }
        try pipeline.addHandler(tls)
        return TLSHandlers(boundary: boundary, gate: gate, tls: tls)
    }

    /// Makes a handler that runs `check` when BoringSSL has completed the handshake.
    private static func handler(
        _ context: NIOSSLContext, _ name: String?, _ check: PeerCheck, _ gate: PeerGate?
    ) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler._makeSSLClientHandler(context: context, serverHostname: name) { certificate, channel in
            let loop = channel.eventLoop
            if let failure = check.failure(of: certificate) { return loop.makeFailedFuture(failure) }
            guard let verification = check.verification, let gate else { return loop.makeSucceededVoidFuture() }
            let promise = loop.makePromise(of: Void.self)
            gate.ask(verification, about: check.presented(certificate), holdsBytes: true, on: loop) { result in
                promise.completeWith(result)
            }
            return promise.futureResult
        }
    }

    /// Makes a handler that runs `check` in place of BoringSSL's check of the chain, during the handshake.
    ///
    /// BoringSSL waits for the result. It has not sent our certificate yet. NIOSSL does not pass on why the peer was
    /// refused, so the gate keeps the reason.
    private static func handlerWithoutChainCheck(
        _ context: NIOSSLContext, _ name: String?, _ check: PeerCheck, _ gate: PeerGate
    ) throws -> NIOSSLClientHandler {
        let callback: NIOSSLCustomVerificationCallback = { certificates, promise in
            // Anyone can add certificates to an unchecked chain. The handshake proves only the key of the first.
            guard let certificate = certificates.first else {
                promise.succeed(.failed)
                return
            }
            if let failure = check.failure(of: certificate) {
                gate.refuse(failure)
                promise.succeed(.failed)
                return
            }
            guard let verification = check.verification else {
                promise.succeed(.certificateVerified)
                return
            }
            gate.ask(
                verification, about: check.presented(certificate), holdsBytes: false,
                on: promise.futureResult.eventLoop
            ) { result in
                if case .success = result {
                    promise.succeed(.certificateVerified)
                } else {
                    promise.succeed(.failed)
                }
            }
        }
        return try NIOSSLClientHandler(context: context, serverHostname: name, customVerificationCallback: callback)
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
    fileprivate init(
        _ options: TLSOptions, _ negotiation: HTTP2Options.Negotiation, _ keyLog: KeyLogFile?
    ) throws {
        self = .makeClientConfiguration()
        minimumTLSVersion = options.minimumVersion == .tls13 ? .tlsv13 : .tlsv12
        applicationProtocols =
            switch negotiation {
            case .automatic: ["h2", "http/1.1"]
            case .http1Only: ["http/1.1"]
            case .http2Only: ["h2"]
            }
        // With a check of our own, BoringSSL must ask for the result; see `handlerWithoutChainCheck`.
        let isUnchecked = options.verification == .disabled && options.pins.isEmpty && options.verifyPeer == nil
        certificateVerification = isUnchecked ? .none : .noHostnameVerification
        verifySignatureAlgorithms = Self.acceptedSignatures
        // BoringSSL's curves, and P-521. The key of a TLS 1.2 certificate has to be on one of these curves.
        curves = [.x25519, .secp256r1, .secp384r1, .secp521r1]
        if options.keyExchange == .hybrid { curves?.insert(.x25519_MLKEM768, at: 0) }
        renegotiationSupport = options.renegotiation == .once ? .once : .none
        shutdownTimeout = .seconds(1)
        trustRoots = try Self.trustRoots(options.trustRoots)
        if let roots = options.additionalRoots {
            additionalTrustRoots = [.certificates(try Self.additionalRoots(roots))]
        }
        if let keyLog { keyLogCallback = { line in keyLog.write(line) } }
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
            case .file(let path): return .certificates(try CertificateFiles.certificates(inFile: path))
            case .pem(let text): return .certificates(try CertificateFiles.certificates(in: Array(text.utf8)))
            }
        } catch {
            throw Self.unreadable("tls.trustRoots", roots.path, error)
        }
    }

    private static func additionalRoots(_ roots: TLSOptions.AdditionalRoots) throws -> [NIOSSLCertificate] {
        do {
            switch roots {
            case .file(let path): return try CertificateFiles.certificates(inFile: path)
            case .pem(let text): return try CertificateFiles.certificates(in: Array(text.utf8))
            }
        } catch {
            throw Self.unreadable("tls.additionalRoots", roots.path, error)
        }
    }

    fileprivate mutating func apply(_ identity: TLSOptions.Identity) throws {
        let chain: [NIOSSLCertificate]
        do {
            switch identity {
            case .files(let path, _, _):
                chain = try CertificateFiles.certificates(inFile: path)
            case .pem(let text, _, _): chain = try CertificateFiles.certificates(in: Array(text.utf8))
            }
        } catch {
            throw Self.unreadable("tls.identity", identity.path, error)
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

    /// Returns the error of an option without a readable certificate.
    ///
    /// - Parameter file: The file that the option names; nil: it has the text itself.
    private static func unreadable(_ option: String, _ file: String?, _ underlying: any Error) -> ServiceError {
        let place = file.map { " from \(FileFailure.printableName(of: $0))" } ?? ""
        return invalid(option, "no certificate in PEM could be read\(place)", underlying)
    }

    /// Returns an error that says what is wrong with an option, or which file could not be read.
    private static func invalid(_ path: String, _ reason: String, _ underlying: (any Error)?) -> ServiceError {
        let reason = (underlying as? FileFailure)?.message ?? reason
        return ServiceError(.invalidConfiguration, "\(path): \(reason)", underlying: underlying)
    }
}

extension TLSOptions.TrustRoots {
    fileprivate var path: String? {
        if case .file(let path) = self { path } else { nil }
    }
}

extension TLSOptions.AdditionalRoots {
    fileprivate var path: String? {
        if case .file(let path) = self { path } else { nil }
    }
}

extension TLSOptions.Identity {
    /// The file of the certificate.
    fileprivate var path: String? {
        if case .files(let certificate, _, _) = self { certificate } else { nil }
    }
}
