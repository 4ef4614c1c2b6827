internal import ArgumentParser
internal import Bowline

/// Which protocol is spoken, whom to trust, and how connections are kept.
struct ConnectionArguments: ParsableArguments {
    @Flag(exclusivity: .exclusive)
    var version: WireVersion?

    @Option(help: ArgumentHelp("Trusted certificates, in PEM, in place of the system's.", valueName: "file"))
    var cacert: String?

    @Option(help: ArgumentHelp("Our own certificate with its chain, in PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("Its private key, in PEM.", valueName: "file"))
    var key: String?

    @Flag(help: "Talks to anyone, whatever certificate they have.")
    var insecure = false

    @Option(help: ArgumentHelp("A set of pool options; single ones go over it.", valueName: "name"))
    var preset: PoolPreset?

    @Flag(help: "A connection for each request, closed after it.")
    var noPool = false

    @Option(help: ArgumentHelp("How long an unused connection is kept. (default: 90)", valueName: "s"))
    var idleTimeout: Seconds?

    @Option(help: ArgumentHelp("How many unused connections an origin keeps. (default: 64)", valueName: "n"))
    var maxIdle: Int?

    @Option(help: ArgumentHelp("How many connections an origin may have. (default: 256)", valueName: "n"))
    var maxConnections: Int?
}

/// The protocols that can be asked for.
enum WireVersion: String, EnumerableFlag {
    case http1, http2, h2c

    static func help(for value: WireVersion) -> ArgumentHelp? {
        switch value {
        case .http1: "HTTP/1.1. (default)"
        case .http2: "HTTP/2 over TLS. (not yet)"
        case .h2c: "HTTP/2 without TLS. (not yet)"
        }
    }
}

/// The presets of the pool, by name; hyphens and case do not matter.
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
    /// The pool that was asked for.
    func makePool() throws -> PoolOptions {
        if let version, version != .http1 {
            throw ValidationError("--\(version.rawValue): HTTP/2 is not yet spoken; this version speaks HTTP/1.1")
        }
        var pool = preset?.options ?? PoolOptions()
        if noPool { pool.isEnabled = false }
        if let idleTimeout = try idleTimeout.positive("--idle-timeout") { pool.idleTimeout = idleTimeout }
        if let maxIdle {
            guard maxIdle >= 0 else { throw ValidationError("--max-idle must not be negative, is \(maxIdle)") }
            pool.maximumIdlePerOrigin = maxIdle
            // The limit over all origins must not undercut what was asked for one.
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

    /// Whom to trust and who to be; the files are there.
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
