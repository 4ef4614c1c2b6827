internal import ArgumentParser
internal import Bowline

/// The options for the protocol, for the certificates, for the proxy, and for the pool of connections.
struct ConnectionArguments: ParsableArguments {
    @Flag(exclusivity: .exclusive)
    var version: WireVersion?

    @Option(help: ArgumentHelp("Trusted certificates, in PEM, instead of the system's.", valueName: "file"))
    var cacert: String?

    @Option(help: ArgumentHelp("Our own certificate with its chain, in PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The private key of --cert, in PEM.", valueName: "file"))
    var key: String?

    @Flag(help: "Accepts any certificate from any peer.")
    var insecure = false

    @Option(
        help: ArgumentHelp(
            "The proxy for all URLs: http, https, socks5 or socks5h. (default: the environment's)", valueName: "url")
    )
    var proxy: String?

    @Flag(help: "No proxy, whatever the environment says.")
    var noProxy = false

    @Option(help: ArgumentHelp("A set of pool options; single options override it.", valueName: "name"))
    var preset: PoolPreset?

    @Flag(help: "A connection for each request, closed after it.")
    var noPool = false

    @Option(help: ArgumentHelp("How long an idle connection is kept. (default: 90)", valueName: "s"))
    var idleTimeout: Seconds?

    @Option(help: ArgumentHelp("How many idle connections an origin keeps. (default: 64)", valueName: "n"))
    var maxIdle: Int?

    @Option(help: ArgumentHelp("How many connections an origin may have. (default: 256)", valueName: "n"))
    var maxConnections: Int?
}

/// The protocols that the command line can ask for.
enum WireVersion: String, EnumerableFlag {
    case http1, http2, h2c

    static func help(for value: WireVersion) -> ArgumentHelp? {
        switch value {
        case .http1: "HTTP/1.1 only. (default: what the peer chooses, with TLS)"
        case .http2: "HTTP/2 over TLS only."
        case .h2c: "HTTP/2 without TLS, by prior knowledge."
        }
    }
}

/// The presets of the pool, by name; hyphens, underscores and case do not matter.
enum PoolPreset: String, ExpressibleByArgument, CaseIterable {
    case highThroughput, lowMemory, manyDestinations

    init?(argument: String) {
        let wanted = argument.lowercased().filter { $0 != "-" && $0 != "_" }
        guard let preset = Self.allCases.first(where: { $0.rawValue.lowercased() == wanted }) else { return nil }
        self = preset
    }

    var options: PoolOptions {
        switch self {
        case .highThroughput: .highThroughput
        case .lowMemory: .lowMemory
        case .manyDestinations: .manyDestinations
        }
    }
}

extension ConnectionArguments {
    /// Makes the options of the pool.
    func makePool() throws -> PoolOptions {
        var pool = preset?.options ?? PoolOptions()
        if noPool { pool.isEnabled = false }
        if let idleTimeout = try idleTimeout.positive("--idle-timeout") { pool.idleTimeout = idleTimeout }
        if let maxIdle {
            guard maxIdle >= 0 else { throw ValidationError("--max-idle must not be negative, is \(maxIdle)") }
            pool.maximumIdlePerOrigin = maxIdle
            // The limit over all origins must not be below the limit of one origin.
            pool.maximumIdle = max(pool.maximumIdle, maxIdle)
        }
        if let maxConnections {
            guard maxConnections >= 1 else {
                throw ValidationError("--max-connections must be at least 1, is \(maxConnections)")
            }
            pool.maximumPerOrigin = maxConnections
        }
        return pool
    }

    /// Makes the choice of the proxy: the environment's unless the command line says otherwise.
    ///
    /// - Throws: `ValidationError`. It contains no part of the proxy's URL, because the URL may contain a password.
    func makeProxy() throws -> ProxyChoice {
        guard let proxy else { return noProxy ? .none : .environment }
        if noProxy { throw ValidationError("--proxy and --no-proxy cannot be given together") }
        let choice = ProxyChoice.url(proxy)
        if let problem = choice.problems(at: "--proxy").first { throw ValidationError(problem.description) }
        return choice
    }

    /// Makes the options for HTTP/2. The URLs must have the scheme that the protocol needs.
    func makeHTTP2(for urls: [String]) throws -> HTTP2Options {
        var http2 = HTTP2Options()
        switch version {
        case nil: break
        case .http1: http2.negotiation = .http1Only
        case .http2:
            http2.negotiation = .http2Only
            try require("https", of: urls, for: "--http2 needs URLs with https; for HTTP/2 without TLS, use --h2c")
        case .h2c:
            http2.negotiation = .http2Only
            try require("http", of: urls, for: "--h2c needs URLs with http; for HTTP/2 over TLS, use --http2")
        }
        return http2
    }

    private func require(_ scheme: String, of urls: [String], for reason: String) throws {
        for url in urls {
            let found = url.prefix { $0 != ":" }.lowercased()
            guard found == scheme || found == scheme + "+unix" else { throw ValidationError(reason) }
        }
    }

    /// Makes the options for TLS: the trusted certificates and our own. The files must be readable.
    func makeTLS() throws -> TLSOptions {
        var tls = TLSOptions()
        if let cacert {
            try BodyFile.requireReadable(cacert, for: "--cacert")
            tls.trustRoots = .file(cacert)
        }
        switch (cert, key) {
        case (nil, nil): break
        case (let cert?, let key?):
            try BodyFile.requireReadable(cert, for: "--cert")
            try BodyFile.requireReadable(key, for: "--key")
            tls.identity = .files(certificate: cert, key: key)
        default: throw ValidationError("--cert and --key belong together: give both")
        }
        if insecure { tls.verification = .disabled }
        return tls
    }
}
