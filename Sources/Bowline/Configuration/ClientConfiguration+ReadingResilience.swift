#if Configuration
    internal import BowlineCore
    internal import Configuration

    extension ClientConfiguration {
        /// The knobs of `resilience`. A key of a policy switches the policy on. The value `on` for a whole policy
        /// switches it on with its defaults, and `off` switches it off.
        static var resilienceKnobs: [ConfigurationKnob] {
            let root = "resilience"
            return group(ResilienceOptions.knobs, \.resilience, at: root)
                + policy(RateOptions.knobs, \.rate, at: "\(root).rate")
                + policy(ConcurrencyOptions.knobs, \.concurrency, at: "\(root).concurrency") + [limit]
                + policy(BreakerOptions.knobs, \.breaker, at: "\(root).breaker")
                + policy(HedgingOptions.knobs, \.hedging, at: "\(root).hedging") + [delay]
                + policy(BalancingOptions.knobs, \.balancing, at: "\(root).balancing") + [endpoints, zone]
        }

        /// Returns the knobs of one policy, and the knob that switches the policy on or off.
        private static func policy<Options: ConfigurableOptions>(
            _ knobs: [OptionKnob<Options>], _ options: WritableKeyPath<ResilienceOptions, Options?>, at path: String
        ) -> [ConfigurationKnob] {
            [
                .custom(path) { configuration, found in
                    let isOn = try found.word(of: ["on", "off", "none"]) == "on"
                    let now = configuration.resilience[keyPath: options]
                    configuration.resilience[keyPath: options] = isOn ? now ?? Options() : nil
                }
            ]
                + group(knobs, at: path) { configuration, change in
                    try configuration.change(options, change)
                }
        }

        /// Changes the options of one policy. Switches the policy on.
        private mutating func change<Options: ConfigurableOptions>(
            _ options: WritableKeyPath<ResilienceOptions, Options?>, _ change: (inout Options) throws -> Void
        ) rethrows {
            var changed = resilience[keyPath: options] ?? Options()
            try change(&changed)
            resilience[keyPath: options] = changed
        }

        private static var limit: ConfigurationKnob {
            .custom("resilience.concurrency.limit") { configuration, found in
                if try found.isText("adaptive") {
                    configuration.change(\.concurrency) { $0.limit = .adaptive() }
                } else {
                    let limit = try found.integer()
                    configuration.change(\.concurrency) { $0.limit = .fixed(limit) }
                }
            }
        }

        private static var delay: ConfigurationKnob {
            .custom("resilience.hedging.delay") { configuration, found in
                let delay: HedgingOptions.Delay
                if let share = try found.percentile() {
                    delay = .percentile(share)
                } else {
                    delay = .after(try found.duration())
                }
                configuration.change(\.hedging) { $0.delay = delay }
            }
        }

        private static var endpoints: ConfigurationKnob {
            .custom("resilience.balancing.endpoints") { configuration, found in
                let texts = try found.texts()
                configuration.change(\.balancing) {
                    $0.endpoints = texts == ["addresses"] ? .addresses : .fixed(texts.map { ServiceEndpoint($0) })
                }
            }
        }

        private static var zone: ConfigurationKnob {
            .custom("resilience.balancing.zone") { configuration, found in
                let zone = try found.saysNone ? nil : found.text()
                configuration.change(\.balancing) { $0.zone = zone }
            }
        }
    }

    extension ConfigurationKnob.Found {
        /// Whether the value is this text. False for a value of another type.
        func isText(_ text: String) throws -> Bool {
            reader.string(forKey: key, isSecret: isSecret) == text
        }

        /// Returns the share of a percentile such as `p95` or `p99.9`; nil: the value is no percentile.
        func percentile() throws -> Double? {
            guard let text = reader.string(forKey: key, isSecret: isSecret), text.hasPrefix("p") else { return nil }
            guard let percent = Double(text.dropFirst()) else {
                throw Unreadable(reason: "must be a duration, or a percentile as p95 or p99.9")
            }
            return percent / 100
        }
    }
#endif
