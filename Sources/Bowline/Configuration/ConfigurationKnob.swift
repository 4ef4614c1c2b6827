#if Configuration
    internal import BowlineCore
    internal import Configuration

    /// A knob of a client that swift-configuration can set. Its key is its property path.
    struct ConfigurationKnob {
        let path: String
        /// Whether access reports and logs must not show the value.
        let isSecret: Bool
        private let apply: (inout ClientConfiguration, Found) throws -> Void

        /// The reader's value for the knob. It is read on demand, with the knob's type.
        struct Found {
            let reader: ConfigReader
            let key: ConfigKey
            let isSecret: Bool
        }

        private init(
            _ path: String, isSecret: Bool = false,
            _ apply: @escaping (inout ClientConfiguration, Found) throws -> Void
        ) {
            self.path = path
            self.isSecret = isSecret
            self.apply = apply
        }

        /// The result of reading a knob.
        enum Finding {
            case absent, set
            case unreadable(ConfigurationProblem)
        }

        /// Sets the property if the reader has a value for it.
        func read(_ reader: ConfigReader, into configuration: inout ClientConfiguration) -> Finding {
            do {
                try apply(&configuration, Found(reader: reader, key: ConfigKey(path), isSecret: isSecret))
                return .set
            } catch let problem as Unreadable {
                return .unreadable(ConfigurationProblem(path, problem.reason))
            } catch {
                // Any other error means that the reader has no value for the knob.
                return .absent
            }
        }
    }

    /// The knob's value has the wrong type or form. The error does not contain the value, because it may be a secret.
    struct Unreadable: Error {
        let reason: String
    }

    extension ConfigurationKnob {
        /// Changes the options of one group within a configuration.
        typealias Change<Options> = (
            _ configuration: inout ClientConfiguration, _ change: (inout Options) throws -> Void
        ) throws -> Void

        /// Returns the configuration knob for a knob that a group of options declares. Returns nil for a knob of
        /// another type, which needs a configuration knob of its own. For a limit that may be nil, the value `none`
        /// means no limit.
        static func declared<Options>(
            _ knob: OptionKnob<Options>, at path: String, change: @escaping Change<Options>
        ) -> ConfigurationKnob? {
            func setting<Value>(
                _ property: WritableKeyPath<Options, Value>, _ value: @escaping (Found) throws -> Value
            ) -> ConfigurationKnob {
                ConfigurationKnob("\(path).\(knob.name)") { configuration, found in
                    let value = try value(found)
                    try change(&configuration) { $0[keyPath: property] = value }
                }
            }
            return switch knob.property {
            case .flag(let property): setting(property) { try $0.flag() }
            case .integer(let property, _): setting(property) { try $0.integer() }
            case .optionalInteger(let property, _): setting(property) { try $0.saysNone ? nil : $0.integer() }
            case .duration(let property, _): setting(property) { try $0.duration() }
            case .optionalDuration(let property, _): setting(property) { try $0.saysNone ? nil : $0.duration() }
            case .number(let property, _): setting(property) { try $0.number() }
            case .optionalAddress(let property): setting(property) { try $0.saysNone ? nil : $0.address() }
            case .integers(let property, _): setting(property) { Set(try $0.integers()) }
            case .words(let words, let set):
                ConfigurationKnob("\(path).\(knob.name)") { configuration, found in
                    let word = try found.word(of: words)
                    try change(&configuration) { set(word, &$0) }
                }
            case .other: nil
            }
        }

        /// Returns a knob with a few named values.
        static func choice<Value>(
            _ path: String, _ property: WritableKeyPath<ClientConfiguration, Value>, _ values: [String: Value]
        ) -> ConfigurationKnob {
            ConfigurationKnob(path) { configuration, found in
                let word = try found.word(of: Array(values.keys))
                if let value = values[word] { configuration[keyPath: property] = value }
            }
        }

        static func custom(
            _ path: String, isSecret: Bool = false,
            _ apply: @escaping (inout ClientConfiguration, Found) throws -> Void
        ) -> ConfigurationKnob {
            ConfigurationKnob(path, isSecret: isSecret, apply)
        }
    }

    extension ConfigurationKnob.Found {
        /// Whether the value means no limit.
        var saysNone: Bool {
            ["none", "unlimited"].contains(reader.string(forKey: key, isSecret: isSecret))
        }

        /// Requires a value at `path`, because without it this value has no meaning.
        func requireBeside(_ path: String) throws {
            _ = try text()
            guard reader.string(forKey: ConfigKey(path)) != nil else {
                throw Unreadable(reason: "needs \(path) beside it")
            }
        }

        func text() throws -> String {
            try value("text") { try reader.requiredString(forKey: key, isSecret: isSecret) }
        }

        /// Returns the value, which must be one of `words`.
        func word(of words: [String]) throws -> String {
            let word = try text()
            guard words.contains(word) else {
                throw Unreadable(reason: "must be one of \(words.sorted().joined(separator: ", "))")
            }
            return word
        }

        func integer() throws -> Int {
            try value("a whole number") { try reader.requiredInt(forKey: key, isSecret: isSecret) }
        }

        func number() throws -> Double {
            try value("a number") { try reader.requiredDouble(forKey: key, isSecret: isSecret) }
        }

        func flag() throws -> Bool {
            try value("true or false") { try reader.requiredBool(forKey: key, isSecret: isSecret) }
        }

        func address() throws -> IPAddress {
            let wanted = "an IPv4 or IPv6 address"
            let text = try value(wanted) { try reader.requiredString(forKey: key, isSecret: isSecret) }
            guard let address = IPAddress(text) else { throw Unreadable(reason: "must be \(wanted)") }
            return address
        }

        func integers() throws -> [Int] {
            try value("a list of whole numbers") { try reader.requiredIntArray(forKey: key, isSecret: isSecret) }
        }

        func texts() throws -> [String] {
            try value("a list of texts") { try reader.requiredStringArray(forKey: key, isSecret: isSecret) }
        }

        /// Returns a duration. The value is a text such as `250ms`, `1.5s`, `2m` or `1h`, or a number of seconds (as a
        /// number or as text).
        func duration() throws -> Duration {
            let wanted = "a duration as 250ms, 1.5s, 2m or 1h, or a number of seconds"
            if let seconds = reader.double(forKey: key, isSecret: isSecret) {
                return try Self.duration(seconds, in: 1, wanted)
            }
            let text = try value(wanted) { try reader.requiredString(forKey: key, isSecret: isSecret) }
            for (unit, seconds) in [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)] where text.hasSuffix(unit) {
                if let count = Double(text.dropLast(unit.count)) {
                    return try Self.duration(count, in: seconds, wanted)
                }
            }
            throw Unreadable(reason: "must be \(wanted)")
        }

        private static func duration(_ count: Double, in unit: Double, _ wanted: String) throws -> Duration {
            // `Duration` traps on values that it cannot represent.
            guard count.isFinite, abs(count * unit) < 1e12 else { throw Unreadable(reason: "must be \(wanted)") }
            return .seconds(count * unit)
        }

        /// Reads a value. If the value cannot be read, throws ``Unreadable``, which becomes a problem. If the value is
        /// missing, throws the library's own error, which does not.
        private func value<Value>(_ wanted: String, _ read: () throws -> Value) throws -> Value {
            do {
                return try read()
            } catch {
                // The library's error type is not public, so its text is compared. A test checks that the text is still
                // the same.
                guard "\(error)".hasPrefix("Missing required config value") else {
                    throw Unreadable(reason: "must be \(wanted)")
                }
                throw error
            }
        }
    }
#endif
