/// One problem of a configuration: which property is wrong, and why.
public struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
    /// The property's path from the configuration's root, for example `pool.maximumIdlePerOrigin`.
    public let path: String
    /// The reason why the property's value is wrong.
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

/// All problems of a configuration. This is the `underlying` error of an `invalidConfiguration`, because the message
/// may be too short for all problems.
public struct ConfigurationProblems: Error, Sendable, Hashable {
    /// The problems of the properties, in their order. Then those of a property that needs a base URL.
    public let problems: [ConfigurationProblem]
}
