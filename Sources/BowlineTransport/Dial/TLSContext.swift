internal import BowlineCore
internal import BowlinePool
internal import NIOCore
internal import NIOSSL

/// Makes NIOSSL's context from ``TLSOptions``, once per client.
///
/// A context that reads files or texts of the user's is made with the client, so that a mistake in them is an error
/// there; one that only needs the system's roots, which takes milliseconds, when it is first needed.
final class TLSContext: Sendable {
    private let options: TLSOptions
    private let protocols: [String]
    private let state: Locked<NIOSSLContext?>

    init(_ options: TLSOptions, negotiation: HTTP2Options.Negotiation = .http1Only) throws {
        self.options = options
        protocols =
            switch negotiation {
            case .automatic: ["h2", "http/1.1"]
            case .http1Only: ["http/1.1"]
            case .http2Only: ["h2"]
            }
        let isPlain = options.trustRoots == .system && options.identity == nil
        state = Locked(isPlain ? nil : try Self.make(options, protocols))
    }

    /// Whether the peer's certificate has to name the host.
    var checksName: Bool { options.verification == .full }

    /// The TLS handler of a new connection to `origin`.
    func makeHandler(for origin: Origin) throws -> NIOSSLClientHandler {
        let context = try state.withLock { context in
            if let context { return context }
            let made = try Self.make(options, protocols)
            context = made
            return made
        }
        return try NIOSSLClientHandler(context: context, serverHostname: serverName(for: origin))
    }

    /// The name for SNI and the certificate check; nil for IP addresses, which SNI does not carry (RFC 6066 §3): the
    /// certificate is then checked against the address itself.
    private func serverName(for origin: Origin) -> String? {
        if let serverName = options.serverName {
            return Origin.isIPAddress(serverName) ? nil : serverName
        }
        guard !origin.isIPAddress else { return nil }
        return origin.host.hasSuffix(".") ? String(origin.host.dropLast()) : origin.host
    }

    private static func make(_ options: TLSOptions, _ protocols: [String]) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = options.minimumVersion == .tls13 ? .tlsv13 : .tlsv12
        configuration.applicationProtocols = protocols
        configuration.certificateVerification =
            switch options.verification {
            case .full: .fullVerification
            case .withoutHostName: .noHostnameVerification
            case .disabled: .none
            }
        configuration.shutdownTimeout = .seconds(1)
        configuration.trustRoots = try trustRoots(options.trustRoots)
        if let identity = options.identity { try apply(identity, to: &configuration) }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw invalid("tls", "certificate and key were not accepted (\(type(of: error)))", error)
        }
    }

    private static func trustRoots(_ roots: TLSOptions.TrustRoots) throws -> NIOSSLTrustRoots {
        do {
            switch roots {
            case .system: return .default
            case .file(let path): return .certificates(try NIOSSLCertificate.fromPEMFile(path))
            case .pem(let text): return .certificates(try NIOSSLCertificate.fromPEMBytes(Array(text.utf8)))
            }
        } catch {
            throw invalid("tls.trustRoots", "no certificate in PEM could be read", error)
        }
    }

    private static func apply(_ identity: TLSOptions.Identity, to configuration: inout TLSConfiguration) throws {
        let chain: [NIOSSLCertificate]
        let key: NIOSSLPrivateKey
        do {
            switch identity {
            case .files(let certificate, _): chain = try NIOSSLCertificate.fromPEMFile(certificate)
            case .pem(let certificate, _): chain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8))
            }
        } catch {
            throw invalid("tls.identity", "no certificate in PEM could be read", error)
        }
        do {
            switch identity {
            case .files(_, let path): key = try NIOSSLPrivateKey(file: path, format: .pem)
            case .pem(_, let text): key = try NIOSSLPrivateKey(bytes: Array(text.utf8), format: .pem)
            }
        } catch {
            throw invalid("tls.identity", "no private key in PEM could be read", error)
        }
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(key)
    }

    private static func invalid(_ path: String, _ reason: String, _ underlying: any Error) -> ServiceError {
        ServiceError(.invalidConfiguration, "\(path): \(reason)", underlying: underlying)
    }
}
