#if Configuration
    internal import BowlineCore
    public import Configuration

    extension ClientConfiguration {
        /// Sets every knob for which `reader` has a value. The other knobs keep their values. Needs the package trait
        /// `Configuration`.
        ///
        /// A key is the property's path in `Docs/Defaults.md`, for example `timeouts.total` or
        /// `pool.maximumIdlePerOrigin`. The environment variable of `timeouts.total` is `TIMEOUTS_TOTAL`. A duration is
        /// a text (`250ms`, `1.5s`, `2m`, `1h`) or a number of seconds. For a limit that may be nil, `unlimited` or
        /// `none` means no limit. `proxy` is `environment`, `none` or a URL. `tls.identity.keyPEM`, `.passphrase` and
        /// `proxy` are marked as secrets.
        ///
        /// Closures, middleware, clock, resolver, logger, coders and authentication are not data, so a reader cannot set
        /// them. It cannot set default fields either, because they may contain credentials. It cannot set
        /// ``TLSOptions/keyLog``, so that the environment alone never makes a program write secrets.
        ///
        /// - Parameter reader: The reader. Its keys are read without a prefix: for keys below `http.client` pass
        ///   `reader.scoped(to: "http.client")`.
        /// - Throws: ``ServiceError`` `invalidConfiguration` that names each value that cannot be read. Ranges are
        ///   checked when the client is made.
        public mutating func apply(_ reader: ConfigReader) throws {
            var problems: [ConfigurationProblem] = []
            // A preset comes first, so that single knobs override its values.
            for knob in Self.presets + Self.knobs {
                switch knob.read(reader, into: &self) {
                case .absent: break
                case .unreadable(let problem): problems.append(problem)
                case .set where knob.path == "timeouts.attempt": reading.attempt = timeouts.attempt
                case .set where knob.path == "timeouts.total": reading.total = timeouts.total
                case .set: break
                }
            }
            try problems.throwIfAny()
        }

        /// Like ``apply(_:)``, for a scope of `reader`. Also finds environment variables that begin with the scope but
        /// belong to no knob, for example `API_TIMEOUT_TOTAL` instead of `API_TIMEOUTS_TOTAL`. The client logs their
        /// names once, when it is made, each with the nearest name of a knob. Their values are not read.
        ///
        /// A `ConfigReader` reveals neither its keys nor its scope. So you name the scope here, and only the names of
        /// environment variables are checked, not the keys of files and other providers.
        ///
        /// - Parameters:
        ///   - reader: The reader that contains the scope.
        ///   - scope: The scope, for example `api` or `http.client`; not empty.
        ///   - variables: The names of the environment variables; nil: the names of this process's variables.
        /// - Throws: the errors of ``apply(_:)``.
        public mutating func apply(_ reader: ConfigReader, scope: String, variables: [String]? = nil) throws {
            try apply(reader.scoped(to: ConfigKey(scope)))
            let paths = (Self.presets + Self.knobs).map(\.path)
            let variables = variables ?? ProcessEnvironment.names
            for stray in KnobNames(paths: paths, scope: scope).strays(among: variables) {
                let hint = stray.nearest.map { "; the nearest is \($0)" } ?? ""
                reading.warnings.append("\(stray.name) in the environment is no knob of a client\(hint)")
            }
        }

        static var presets: [ConfigurationKnob] {
            let presets: [String: PoolOptions] = [
                "highThroughput": .highThroughput, "lowMemory": .lowMemory, "manyDestinations": .manyDestinations,
            ]
            return [
                .choice("pool.preset", \.pool, presets),
                .choice("resilience.preset", \.resilience, ["off": .off, "standard": .standard]),
            ]
        }

        static var knobs: [ConfigurationKnob] {
            group(Timeouts.knobs, \.timeouts, at: "timeouts")
                + group(RetryOptions.knobs, \.retry, at: "retry")
                + group(RetryBackoff.knobs, \.retry.backoff, at: "retry.backoff")
                + [budget] + group(RetryBudgetOptions.knobs, at: "retry.budget") { try $0.changeBudget($1) }
                + resilienceKnobs + group(RedirectOptions.knobs, \.redirect, at: "redirect")
                + group(DecompressionOptions.knobs, \.decompression, at: "decompression") + behaviourKnobs
                + group(PoolOptions.knobs, \.pool, at: "pool")
                + group(ConnectionOptions.knobs, \.connection, at: "connection")
                + group(HTTP2Options.knobs, \.http2, at: "http2")
                + group(TLSOptions.knobs, \.tls, at: "tls") + routeKnobs
                + group(LifecycleOptions.knobs, \.lifecycle, at: "lifecycle")
                + group(TelemetryOptions.knobs, \.telemetry, at: "telemetry")
        }

        /// Returns the knobs that a group of options declares.
        static func group<Options>(
            _ knobs: [OptionKnob<Options>], _ options: WritableKeyPath<ClientConfiguration, Options>, at path: String
        ) -> [ConfigurationKnob] {
            group(knobs, at: path) { try $1(&$0[keyPath: options]) }
        }

        static func group<Options>(
            _ knobs: [OptionKnob<Options>], at path: String, change: @escaping ConfigurationKnob.Change<Options>
        ) -> [ConfigurationKnob] {
            knobs.compactMap { ConfigurationKnob.declared($0, at: path, change: change) }
        }

        private static var budget: ConfigurationKnob {
            .custom("retry.budget") { configuration, found in
                _ = try found.text()
                guard found.saysNone else { throw Unreadable(reason: "must be unlimited or none, or not there") }
                configuration.retry.budget = nil
            }
        }

        private static var behaviourKnobs: [ConfigurationKnob] {
            [
                .custom("redirect.sensitiveFields") { configuration, found in
                    configuration.redirect.sensitiveFields = Set(
                        try found.texts().map { name in
                            guard let field = HTTPField.Name(name) else {
                                throw Unreadable(reason: "must be names of header fields")
                            }
                            return field
                        })
                },
                .custom("makesIdempotencyKeys") { $0.makesIdempotencyKeys = try $1.flag() },
                .custom("userAgent") { $0.userAgent = try $1.saysNone ? nil : $1.text() },
                .custom("authenticatedOrigins") { $0.authenticatedOrigins = try $1.texts() },
            ]
        }

        private static var tlsKnobs: [ConfigurationKnob] {
            [
                .custom("tls.trustRoots.file") { $0.tls.trustRoots = .file(try $1.text()) },
                .custom("tls.trustRoots.pem") { $0.tls.trustRoots = .pem(try $1.text()) },
                .custom("tls.additionalRoots.file") { $0.tls.additionalRoots = .file(try $1.text()) },
                .custom("tls.additionalRoots.pem") { $0.tls.additionalRoots = .pem(try $1.text()) },
                .custom("tls.pins") { $0.tls.pins = Set(try $1.texts().map { PublicKeyPin($0) }) },
                .custom("tls.identity.certificateFile") {
                    try $0.setIdentity($1, key: "tls.identity.keyFile", isFile: true)
                },
                .custom("tls.identity.certificatePEM", isSecret: false) {
                    try $0.setIdentity($1, key: "tls.identity.keyPEM", isFile: false)
                },
                .custom("tls.identity.keyFile") { try $1.requireBeside("tls.identity.certificateFile") },
                .custom("tls.identity.keyPEM", isSecret: true) { try $1.requireBeside("tls.identity.certificatePEM") },
                .custom("tls.identity.passphrase", isSecret: true) { configuration, found in
                    try configuration.setPassphrase(try found.text())
                },
                .custom("tls.serverName") { $0.tls.serverName = try $1.text() },
            ]
        }

        private static var routeKnobs: [ConfigurationKnob] { tlsKnobs + [proxyKnob] }

        private static var proxyKnob: ConfigurationKnob {
            .custom("proxy", isSecret: true) { configuration, found in
                let text = try found.text()
                do throws(Proxy.Malformed) {
                    configuration.proxy = try ProxyChoice(configured: text)
                } catch {
                    throw Unreadable(reason: error.reason)
                }
            }
        }

        /// Changes the retry budget.
        ///
        /// - Throws: ``Unreadable`` if the configuration has no budget.
        private mutating func changeBudget(_ change: (inout RetryBudgetOptions) throws -> Void) throws {
            guard var budget = retry.budget else { throw Unreadable(reason: "sets a budget that there is not") }
            try change(&budget)
            retry.budget = budget
        }

        /// Sets a certificate and its private key. `path` is the configuration key of the private key, which is a
        /// secret unless it is the name of a file.
        private mutating func setIdentity(_ found: ConfigurationKnob.Found, key path: String, isFile: Bool) throws {
            let certificate = try found.text()
            guard let key = found.reader.string(forKey: ConfigKey(path), isSecret: !isFile) else {
                throw Unreadable(reason: "needs \(path) beside it")
            }
            tls.identity =
                isFile ? .files(certificate: certificate, key: key) : .pem(certificate: certificate, key: key)
        }

        /// Sets the passphrase of the private key. The key was read before.
        private mutating func setPassphrase(_ passphrase: String) throws {
            switch tls.identity {
            case .files(let certificate, let key, _):
                tls.identity = .files(certificate: certificate, key: key, passphrase: passphrase)
            case .pem(let certificate, let key, _):
                tls.identity = .pem(certificate: certificate, key: key, passphrase: passphrase)
            case nil: throw Unreadable(reason: "needs a certificate and its key beside it")
            }
        }
    }
#endif
