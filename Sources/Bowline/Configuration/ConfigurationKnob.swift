#if Configuration
    internal import BowlineCore
    internal import Configuration

    /// One knob of a client as swift-configuration reads it: its key is its property path.
    struct ConfigurationKnob {
        let path: String
        /// Whether access reports and logs must not show the value.
        let isSecret: Bool
        private let apply: (inout ClientConfiguration, Found) throws -> Void

        /// The reader's value for the knob, read on demand as the type that the knob has.
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

        /// Whether a reader had a value for a knob.
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
                // Everything else means that there is no such value.
                return .absent
            }
        }
    }

    /// The knob has a value of the wrong type or form. The value itself is not named: it may be a secret.
    struct Unreadable: Error {
        let reason: String
    }

    extension ConfigurationKnob {
        /// Reads a knob that a group of options declares. nil: a knob of another type, which has a reading of its own.
        ///
        /// `none` lifts a limit that may be nil.
        init?<Options>(
            _ knob: OptionKnob<Options>, of group: WritableKeyPath<ClientConfiguration, Options>, at path: String
        ) {
            let path = "\(path).\(knob.name)"
            switch knob.property {
            case .flag(let property):
                self.init(path) { $0[keyPath: group][keyPath: property] = try $1.flag() }
            case .integer(let property, _):
                self.init(path) { $0[keyPath: group][keyPath: property] = try $1.integer() }
            case .optionalInteger(let property, _):
                self.init(path) { $0[keyPath: group][keyPath: property] = try $1.saysNone ? nil : $1.integer() }
            case .duration(let property, _):
                self.init(path) { $0[keyPath: group][keyPath: property] = try $1.duration() }
            case .optionalDuration(let property, _):
                self.init(path) { $0[keyPath: group][keyPath: property] = try $1.saysNone ? nil : $1.duration() }
            case .other:
                return nil
            }
        }

        static func flag(
            _ path: String, _ property: WritableKeyPath<ClientConfiguration, Bool>
        ) -> ConfigurationKnob {
            ConfigurationKnob(path) { $0[keyPath: property] = try $1.flag() }
        }

        static func name(
            _ path: String, _ property: WritableKeyPath<ClientConfiguration, String?>
        ) -> ConfigurationKnob {
            ConfigurationKnob(path) { $0[keyPath: property] = try $1.text() }
        }

        /// One of a few words.
        static func choice<Value>(
            _ path: String, _ property: WritableKeyPath<ClientConfiguration, Value>, _ values: [String: Value]
        ) -> ConfigurationKnob {
            ConfigurationKnob(path) { configuration, found in
                guard let value = values[try found.text()] else {
                    throw Unreadable(reason: "must be one of \(values.keys.sorted().joined(separator: ", "))")
                }
                configuration[keyPath: property] = value
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
        /// The value says that there is to be no limit.
        var saysNone: Bool {
            ["none", "unlimited"].contains(reader.string(forKey: key, isSecret: isSecret))
        }

        /// A value that says nothing without another one.
        func requireBeside(_ path: String) throws {
            _ = try text()
            guard reader.string(forKey: ConfigKey(path)) != nil else {
                throw Unreadable(reason: "needs \(path) beside it")
            }
        }

        func text() throws -> String {
            try value("text") { try reader.requiredString(forKey: key, isSecret: isSecret) }
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

        func integers() throws -> [Int] {
            try value("a list of whole numbers") { try reader.requiredIntArray(forKey: key, isSecret: isSecret) }
        }

        func texts() throws -> [String] {
            try value("a list of texts") { try reader.requiredStringArray(forKey: key, isSecret: isSecret) }
        }

        /// Text as `250ms`, `1.5s`, `2m` or `1h`; a bare number, also as text, is seconds.
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
            // `Duration` traps on values that it cannot hold.
            guard count.isFinite, abs(count * unit) < 1e12 else { throw Unreadable(reason: "must be \(wanted)") }
            return .seconds(count * unit)
        }

        /// Tells a value that cannot be read, which is a problem, from one that is not there, which is none.
        private func value<Value>(_ wanted: String, _ read: () throws -> Value) throws -> Value {
            do {
                return try read()
            } catch {
                // The library's own error type is not public; its text says which it is, and a test holds it to that.
                guard "\(error)".hasPrefix("Missing required config value") else {
                    throw Unreadable(reason: "must be \(wanted)")
                }
                throw error
            }
        }
    }
#endif
