internal import BowlineCore

/// Reads what a response says about the service's quota: the fields `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers-11), or the three fields of its earlier versions, `RateLimit-Limit`,
/// `RateLimit-Remaining` and `RateLimit-Reset`. A field that cannot be read is ignored. Allocates nothing.
///
/// ```
/// RateLimit-Policy: "burst";q=100;w=60, "daily";q=1000;w=86400
/// RateLimit: "burst";r=20;t=30
/// ```
enum RateLimitFields {
    /// What is left of one quota.
    struct ServiceLimit: Equatable {
        /// How many requests are left; 0 or more.
        var remaining: Int64
        /// The seconds within which no more may be sent; nil: the response does not say.
        var window: Int64?
        /// The whole quota; nil: the response does not say.
        var policy: Policy?
    }

    /// A whole quota.
    struct Policy: Equatable {
        /// The requests; 1 or more.
        var quota: Int64
        /// The seconds; nil: the response does not say.
        var window: Int64?
    }

    /// A field with more items is not read. Each quota is looked for among the policies, so the work would grow with
    /// the square of the field's length.
    static let mostItems = 16
    /// Numbers of seconds from here on are dates, or mistakes.
    private static let longestWindow: Int64 = 1_000_000_000

    /// Returns the advice of a response's fields.
    ///
    /// A quota that is used up is a pause until its window ends, at most `maximumPause`. A quota is low if a smaller
    /// share of it is left than of its window; if its window is not known, if less than half of it is left; and if its
    /// size is not known, always. If several quotas are low, the one that allows the lowest rate counts.
    static func advice(of fields: ReceivedFields, maximumPause: () -> Duration) -> RateAdvice {
        var advice = RateAdvice()
        var (found, ample) = (0, 0)
        forEachLimit(of: fields) { limit in
            guard let window = limit.window ?? limit.policy.flatMap(\.window), window > 0 else { return }
            found += 1
            if limit.remaining == 0 {
                advice.pause = max(advice.pause, max(.zero, min(.seconds(window), maximumPause())))
            } else if limit.isLow(in: window) {
                advice.quota = lower(advice.quota, .low(remaining: limit.remaining, window: .seconds(window)))
            } else {
                ample += 1
            }
        }
        if found > 0, found == ample { advice.quota = .ample }
        return advice
    }

    private static func lower(_ one: RateAdvice.Quota, _ other: RateAdvice.Quota) -> RateAdvice.Quota {
        guard case .low(let remaining, let window) = one, case .low(let otherRemaining, let otherWindow) = other else {
            return other
        }
        return Double(remaining) / window.inSeconds <= Double(otherRemaining) / otherWindow.inSeconds ? one : other
    }

    // MARK: Fields

    /// Calls `body` with each quota of the response.
    static func forEachLimit(of fields: ReceivedFields, _ body: (ServiceLimit) -> Void) {
        if fields.contains("ratelimit") {
            forEachNamedLimit(of: fields, body)
        } else if let limit = earlierLimit(of: fields) {
            body(limit)
        }
    }

    private static func forEachNamedLimit(of fields: ReceivedFields, _ body: (ServiceLimit) -> Void) {
        guard isReadable("ratelimit", of: fields) else { return }
        let hasPolicies = isReadable("ratelimit-policy", of: fields)
        forEachItem(of: "ratelimit", in: fields) { item in
            guard let name = item.name, let remaining = item.remaining, remaining >= 0 else { return }
            guard isWindow(item.effectiveWindow ?? 0) else { return }
            let policy = hasPolicies ? policy(named: name, of: fields) : .unknown
            // A quota in other units says nothing about the number of requests.
            if case .otherUnit = policy { return }
            var limit = ServiceLimit(remaining: remaining, window: item.effectiveWindow)
            if case .known(let known) = policy { limit.policy = known }
            body(limit)
        }
    }

    private enum NamedPolicy {
        case unknown, otherUnit
        case known(Policy)
    }

    private static func policy(named name: UnsafeRawBufferPointer, of fields: ReceivedFields) -> NamedPolicy {
        var found = NamedPolicy.unknown
        forEachItem(of: "ratelimit-policy", in: fields) { item in
            guard let own = item.name, own.elementsEqual(name) else { return }
            if item.hasOtherUnit {
                found = .otherUnit
            } else if let quota = item.quota, quota > 0 {
                found = .known(Policy(quota: quota, window: item.usableWindow))
            }
        }
        return found
    }

    /// The three fields: `RateLimit-Limit: 10, 10;w=1, 1000;w=3600`, `RateLimit-Remaining: 5`, `RateLimit-Reset: 1`.
    private static func earlierLimit(of fields: ReceivedFields) -> ServiceLimit? {
        guard fields.contains("ratelimit-remaining"),
            let remaining = integer("ratelimit-remaining", of: fields), remaining >= 0,
            let window = integer("ratelimit-reset", of: fields), isWindow(window)
        else { return nil }
        var limit = ServiceLimit(remaining: remaining, window: window)
        guard isReadable("ratelimit-limit", of: fields) else { return limit }
        forEachItem(of: "ratelimit-limit", in: fields) { item in
            guard let quota = item.integer, quota > 0 else { return }
            // The first item is the quota; an item with the same number may say its window.
            if limit.policy == nil { limit.policy = Policy(quota: quota) }
            guard quota == limit.policy?.quota, limit.policy?.window == nil else { return }
            limit.policy?.window = item.usableWindow
        }
        return limit
    }

    private static func isWindow(_ seconds: Int64) -> Bool { (0..<longestWindow).contains(seconds) }

    // MARK: Items

    /// An item, and its parameters that we know.
    private struct Item {
        var name: UnsafeRawBufferPointer?
        var integer: Int64?
        var remaining: Int64?
        var effectiveWindow: Int64?
        var quota: Int64?
        var window: Int64?
        var hasOtherUnit = false

        /// The window, if it can be one.
        var usableWindow: Int64? { window.flatMap { $0 > 0 && isWindow($0) ? $0 : nil } }

        init(_ item: StructuredListReader.BareItem) {
            switch item {
            case .text(let name): self.name = name
            case .integer(let integer): self.integer = integer
            case .other: break
            }
        }

        mutating func set(_ name: UnsafeRawBufferPointer, _ value: StructuredListReader.BareItem) {
            let integer: Int64? = if case .integer(let integer) = value { integer } else { nil }
            switch (name.count, name.first) {
            // A window that is no number makes the item unusable, like a negative one.
            case (1, UInt8(ascii: "r")): remaining = integer ?? -1
            case (1, UInt8(ascii: "t")): effectiveWindow = integer ?? -1
            case (1, UInt8(ascii: "q")): quota = integer
            case (1, UInt8(ascii: "w")): window = integer
            case (2, UInt8(ascii: "q")) where name[1] == UInt8(ascii: "u"):
                guard case .text(let unit) = value else {
                    hasOtherUnit = true
                    return
                }
                hasOtherUnit = !unit.elementsEqual("requests".utf8)
            default: break
            }
        }
    }

    /// Whether all lines of a field can be read, and do not have too many items.
    private static func isReadable(_ name: StaticString, of fields: ReceivedFields) -> Bool {
        var isReadable = true
        var items = 0
        fields.forEachValue(of: name) { value in
            var reader = StructuredListReader(value)
            if !reader.read(item: { _ in items += 1 }, parameter: { _, _ in }) { isReadable = false }
        }
        return isReadable && items <= mostItems
    }

    /// Calls `body` with each item of a field that is readable. All lines of the field form one list.
    private static func forEachItem(of name: StaticString, in fields: ReceivedFields, _ body: (Item) -> Void) {
        fields.forEachValue(of: name) { value in
            var reader = StructuredListReader(value)
            var current: Item?
            _ = reader.read {
                if let current { body(current) }
                current = Item($0)
            } parameter: {
                current?.set($0, $1)
            }
            if let current { body(current) }
        }
    }

    /// The only value of a field, if it is an integer.
    private static func integer(_ name: StaticString, of fields: ReceivedFields) -> Int64? {
        guard isReadable(name, of: fields) else { return nil }
        var found: Int64?
        var count = 0
        forEachItem(of: name, in: fields) { item in
            count += 1
            found = item.integer
        }
        return count == 1 ? found : nil
    }
}

extension RateLimitFields.ServiceLimit {
    /// Whether the quota is running low within `window` seconds.
    fileprivate func isLow(in window: Int64) -> Bool {
        guard let policy else { return true }
        let whole = policy.window ?? 2 * window
        return Double(remaining) / Double(policy.quota) < Double(window) / Double(whole)
    }
}
