/// A group of options. A new group has the defaults, and a closure can change them in the same expression.
///
/// ```swift
/// $0.retry = RetryOptions { $0.maximumAttempts = 4 }
/// ```
/// Each group of options of a client and of a request conforms to this protocol.
public protocol ConfigurableOptions: Sendable {
    /// Makes the defaults.
    init()
}

extension ConfigurableOptions {
    /// Makes the defaults with some changes. The values are checked when the options are used.
    ///
    /// - Parameter configure: Changes the defaults.
    /// - Throws: Any error of `configure`.
    public init(_ configure: (inout Self) throws -> Void) rethrows {
        self.init()
        try configure(&self)
    }
}
