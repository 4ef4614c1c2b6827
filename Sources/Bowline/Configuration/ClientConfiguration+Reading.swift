#if Configuration
    internal import BowlineCore
    public import Configuration

    extension ClientConfiguration {
        /// Sets every knob for which `reader` has a value; the others keep theirs. With the package trait
        /// `Configuration`.
        ///
        /// A key is the property's path, as `Docs/Defaults.md` lists them: `timeouts.total`, `pool.maximumIdlePerOrigin`,
        /// in the environment `TIMEOUTS_TOTAL`. Durations are text as `250ms`, `1.5s`, `2m`, `1h`, or a number of
        /// seconds; `unlimited`, or `none`, lifts a limit that may be nil. `tls.identity.keyPEM` and `.passphrase` are marked as secrets.
        /// Closures, middleware, clock, logger, coders and authentication are not data and stay with the program, and so do
        /// default fields, which may hold credentials.
        ///
        /// - Parameter reader: Read from its own scope: `reader.scoped(to: "http.client")` for keys below that.
        /// - Throws: ``ServiceError`` `invalidConfiguration` that names each value that cannot be read. Ranges are checked
        ///   when the client is made.
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

        /// As ``apply(_:)``, from a scope of `reader`, and looks for variables of the environment that begin as the scope does
        /// and are no knob: `API_TIMEOUT_TOTAL` for `API_TIMEOUTS_TOTAL`. The client says in the log, once, when it is made,
        /// which there are, with the nearest name of a knob. Values are not looked at.
        ///
        /// A `ConfigReader` reveals neither its keys nor its scope. So the scope is named here, and only
        /// the names of the process's environment are looked at; files and other providers are not.
        ///
        /// - Parameters:
        ///   - reader: The reader that the scope is in.
        ///   - scope: The scope, as `api` or `http.client`; not empty.
        ///   - variables: The names in the environment; nil: the names of this process's environment.
        /// - Throws: as ``apply(_:)``.
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
            return [.choice("pool.preset", \.pool, presets)]
        }

        static var knobs: [ConfigurationKnob] {
            group(Timeouts.knobs, \.timeouts, at: "timeouts")
                + group(RetryOptions.knobs, \.retry, at: "retry")
                + group(RetryBackoff.knobs, \.retry.backoff, at: "retry.backoff")
                + [budget] + group(RetryBudgetOptions.knobs, at: "retry.budget") { try $0.changeBudget($1) }
                + group(RedirectOptions.knobs, \.redirect, at: "redirect")
                + group(DecompressionOptions.knobs, \.decompression, at: "decompression") + behaviourKnobs
                + group(PoolOptions.knobs, \.pool, at: "pool")
                + group(ConnectionOptions.knobs, \.connection, at: "connection")
                + group(HTTP2Options.knobs, \.http2, at: "http2")
                + group(TLSOptions.knobs, \.tls, at: "tls") + tlsKnobs
                + group(LifecycleOptions.knobs, \.lifecycle, at: "lifecycle")
                + group(TelemetryOptions.knobs, \.telemetry, at: "telemetry")
        }

        /// The knobs that a group of options declares.
        private static func group<Options>(
            _ knobs: [OptionKnob<Options>], _ options: WritableKeyPath<ClientConfiguration, Options>, at path: String
        ) -> [ConfigurationKnob] {
            group(knobs, at: path) { try $1(&$0[keyPath: options]) }
        }

        private static func group<Options>(
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

        /// Changes the retry budget.
        ///
        /// - Throws: ``Unreadable`` if the configuration has no budget.
        private mutating func changeBudget(_ change: (inout RetryBudgetOptions) throws -> Void) throws {
            guard var budget = retry.budget else { throw Unreadable(reason: "sets a budget that there is not") }
            try change(&budget)
            retry.budget = budget
        }

        /// A certificate together with its key, which has a key of its own and is a secret where it is the key itself.
        private mutating func setIdentity(_ found: ConfigurationKnob.Found, key path: String, isFile: Bool) throws {
            let certificate = try found.text()
            guard let key = found.reader.string(forKey: ConfigKey(path), isSecret: !isFile) else {
                throw Unreadable(reason: "needs \(path) beside it")
            }
            tls.identity =
                isFile ? .files(certificate: certificate, key: key) : .pem(certificate: certificate, key: key)
        }

        /// The passphrase of the key, which is read before it.
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
