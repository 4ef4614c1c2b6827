/// One thing that is wrong with a configuration: which property, and why.
public struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    /// The property's path from the configuration's root, as `pool.maximumIdlePerOrigin`.
    public let path: String
    /// The problem of its value.
    public let reason: String

    package init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    /// Path and reason.
    public var description: String { "\(path): \(reason)" }
}

extension [ConfigurationProblem] {
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
