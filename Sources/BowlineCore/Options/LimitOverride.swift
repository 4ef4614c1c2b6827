/// A request's override of one of its client's limits.
///
/// On a client a limit is a value or nil. On a request it is a value, `.unlimited` or the client's limit
/// (`.inherited`). On a client `.unlimited` is another word for nil. So `.unlimited` means "no limit" both on a client
/// and on a request.
public enum LimitOverride<Value: Sendable & Hashable>: Sendable, Hashable {
    /// The client's limit.
    case inherited
    /// No limit.
    case unlimited
    /// This limit, in the range of the client's property.
    case limited(Value)

    package func resolved(over inherited: Value?) -> Value? {
        switch self {
        case .inherited: inherited
        case .unlimited: nil
        case .limited(let value): value
        }
    }
}

/// A request's override of one of its client's ``Timeouts``. A limit must be greater than zero.
public typealias TimeLimit = LimitOverride<Duration>

extension LimitOverride where Value == Duration {
    /// A hundred years. `Duration` traps on numbers of seconds that it cannot represent.
    private static var mostSeconds: Int64 { 3_155_760_000 }

    /// A limit of this many seconds; greater than zero. More than a hundred years count as a hundred years, and NaN
    /// counts as zero.
    public static func seconds(_ seconds: Double) -> TimeLimit {
        if seconds.isNaN { return .limited(.zero) }
        if seconds >= Double(mostSeconds) { return .limited(.seconds(mostSeconds)) }
        if seconds <= -Double(mostSeconds) { return .limited(.seconds(-mostSeconds)) }
        return .limited(.seconds(seconds))
    }
    /// A limit of this many milliseconds; greater than zero.
    public static func milliseconds(_ milliseconds: Int) -> TimeLimit { .limited(.milliseconds(milliseconds)) }
}

extension LimitOverride: ExpressibleByIntegerLiteral where Value == Int {
    /// Makes a limit of this number.
    public init(integerLiteral value: Int) {
        self = .limited(value)
    }
}

extension Optional where Wrapped == Duration {
    /// No limit: the same as nil. So `.unlimited` can be written for a client's property as well as for a request's
    /// option.
    public static var unlimited: Duration? { nil }
}

extension Optional where Wrapped == Int {
    /// No limit: the same as nil. So `.unlimited` can be written for a client's property as well as for a request's
    /// option.
    public static var unlimited: Int? { nil }
}

extension Optional where Wrapped == RetryBudgetOptions {
    /// No limit: the same as nil. So `.unlimited` can be written for a client's property as well as for a request's
    /// option.
    public static var unlimited: RetryBudgetOptions? { nil }
}
