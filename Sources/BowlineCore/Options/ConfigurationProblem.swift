/// One thing that is wrong with a configuration: which property, and why.
public struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    /// The property's path from the configuration's root, as `pool.maximumIdlePerOrigin`.
    public let path: String
    /// What is wrong with its value.
    public let reason: String

    package init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    /// Path and reason.
    public var description: String { "\(path): \(reason)" }
}

extension [ConfigurationProblem] {
    package mutating func requirePositive(_ value: Duration?, _ path: String) {
        if let value, value <= .zero {
            append(ConfigurationProblem(path, "must be greater than zero (nil for no limit)"))
        }
    }

    package mutating func requireNotNegative(_ value: Duration, _ path: String) {
        if value < .zero { append(ConfigurationProblem(path, "must not be negative")) }
    }

    package mutating func require(_ value: Int?, in range: ClosedRange<Int>, _ path: String) {
        guard let value, !range.contains(value) else { return }
        let upper = range.upperBound == .max ? "" : " and at most \(range.upperBound)"
        append(ConfigurationProblem(path, "must be at least \(range.lowerBound)\(upper), is \(value)"))
    }

    /// Throws one error that names every problem.
    package func throwIfAny() throws {
        guard !isEmpty else { return }
        throw ServiceError(
            .invalidConfiguration, map(\.description).joined(separator: "; "),
            underlying: ConfigurationProblems(problems: self)
        )
    }
}

/// Everything that is wrong with a configuration: the `underlying` error of an `invalidConfiguration`, whose message may
/// have no room for all of it.
public struct ConfigurationProblems: Error, Sendable, Hashable {
    /// The problems, in the order of the properties.
    public let problems: [ConfigurationProblem]
}
