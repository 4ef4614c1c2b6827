/// Options that say whether and how redirects (301, 302, 303, 307, 308; RFC 9110 §15.4) are followed.
public struct RedirectOptions: Sendable, Hashable, ConfigurableOptions {
    /// How many redirects one call follows, 0 to 100. With 0 the caller gets the redirect's response. Default 10.
    public var maximum = 10
    /// Whether a redirect from `https` to `http` is followed. Default false: it fails with `redirectRefused`.
    public var allowsDowngrade = false
    /// Fields that are removed when a redirect leads to another origin, in addition to `Authorization`, `Cookie`,
    /// `Proxy-Authorization`, `Host` and the client's own `fields`. They stay removed on all later hops. Default none.
    public var sensitiveFields: Set<HTTPField.Name> = []

    /// Makes the defaults.
    public init() {}

    /// Options that follow no redirects.
    public static var never: RedirectOptions {
        var options = RedirectOptions()
        options.maximum = 0
        return options
    }

    package static var knobs: [OptionKnob<Self>] {
        [
            OptionKnob("maximum", .integer(\.maximum, 0...100)),
            OptionKnob("allowsDowngrade", .flag(\.allowsDowngrade)),
        ]
    }

    package func problems(at path: String) -> [ConfigurationProblem] { Self.knobs.problems(of: self, at: path) }
}

/// A request's own rules for redirects. Each rule that is not set is inherited from the client.
public struct RedirectOverrides: Sendable, Hashable, ConfigurableOptions {
    /// How many redirects the call follows, 0 to 100. See ``RedirectOptions/maximum``.
    public var maximum: Int?
    /// Whether a redirect from `https` to `http` is followed. See ``RedirectOptions/allowsDowngrade``.
    public var allowsDowngrade: Bool?
    /// Fields that are removed when a redirect leads to another origin, in addition to the client's
    /// ``RedirectOptions/sensitiveFields``.
    public var sensitiveFields: Set<HTTPField.Name> = []

    /// Inherits everything.
    public init() {}

    /// Overrides that follow no redirects.
    public static var never: RedirectOverrides {
        var overrides = RedirectOverrides()
        overrides.maximum = 0
        return overrides
    }

    package var isInherited: Bool { maximum == nil && allowsDowngrade == nil && sensitiveFields.isEmpty }

    package func resolved(over options: RedirectOptions) -> RedirectOptions {
        var result = options
        if let maximum { result.maximum = maximum }
        if let allowsDowngrade { result.allowsDowngrade = allowsDowngrade }
        // The client's sensitive fields stay sensitive; a request can only add more.
        result.sensitiveFields.formUnion(sensitiveFields)
        return result
    }

    package func problems(at path: String) -> [ConfigurationProblem] {
        resolved(over: RedirectOptions()).problems(at: path)
    }
}
