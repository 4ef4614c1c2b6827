internal import BowlineCore

/// A token bucket as a virtual schedule (GCRA): it stores the instant at which the bucket will be full, not a number of
/// tokens. A token that is not there yet is reserved: it has a *slot*, the instant at which it arrives.
///
/// Pure: the time is an argument. Arithmetic saturates. The pace is an argument too, so that it may change between
/// calls. If it changes, the tokens that are missing stay missing: ten missing tokens take ten new intervals.
struct TokenSchedule {
    /// How fast tokens arrive, and how many the bucket holds.
    struct Pace: Equatable, Sendable {
        /// The nanoseconds from one token to the next; 1 or more.
        let interval: Int64
        /// The most tokens that can be taken at once; 1 or more.
        let burst: Int

        init(interval: Int64, burst: Int) {
            self.interval = max(interval, 1)
            self.burst = max(burst, 1)
        }

        /// The interval is rounded up, so that the rate is never exceeded.
        init(perSecond: Double, burst: Int) {
            self.init(interval: Int64(saturating: (1e9 / perSecond).rounded(.up)), burst: burst)
        }

        /// How long before the bucket is full a token can still be taken.
        fileprivate var tolerance: Int64 { interval.saturatingMultiplied(by: Int64(burst - 1)) }
    }

    /// A token that was taken.
    struct Token: Equatable, Sendable {
        /// When the token arrives; not later than the time of the call if it was there already.
        let slot: MonotonicInstant
        /// When the bucket would be full with this token as the last one; nil: the token was given back before.
        fileprivate let end: Int64?
        fileprivate let interval: Int64
    }

    /// The most slots that are kept after their tokens were given back. Further tokens are lost.
    private static let maximumFreed = 32

    /// When the bucket will be full.
    private var full = Int64.min
    /// The pace that ``full`` was computed with.
    private var pace = Pace(interval: 1, burst: 1)
    /// The last slot that was given. If it is in the future, no later call gets a slot before it, even at another pace.
    private var lastSlot = Int64.min
    /// The slots of tokens that were given back, in order.
    private var freed: [Int64] = []

    /// Makes a full bucket.
    init() {}

    /// Makes a bucket with this many tokens, at most `pace.burst`.
    init(tokens: Double, at now: MonotonicInstant, _ pace: Pace) {
        let missing = max(0, Double(pace.burst) - max(0, tokens)) * Double(pace.interval)
        full = now.nanoseconds.saturatingPlus(Int64(saturating: missing.rounded()))
        self.pace = pace
    }

    /// Whether no token is missing and none is reserved.
    func isFull(at now: MonotonicInstant) -> Bool { full <= now.nanoseconds }

    /// Returns the slot of the next token: `now`, or a later instant.
    ///
    /// - Parameter opening: No slot is before this instant, and at this instant the bucket has one token. nil: no limit.
    func next(at now: MonotonicInstant, opening: MonotonicInstant?, _ pace: Pace) -> MonotonicInstant {
        let regular = regularSlot(at: now.nanoseconds, opening, pace)
        let slot = freedSlot(before: regular, at: now.nanoseconds, opening, pace) ?? max(regular, now.nanoseconds)
        return MonotonicInstant(nanoseconds: slot)
    }

    /// Takes the token whose slot ``next(at:opening:_:)`` returns.
    mutating func take(at now: MonotonicInstant, opening: MonotonicInstant?, _ pace: Pace) -> Token {
        let now = now.nanoseconds
        let regular = regularSlot(at: now, opening, pace)
        full = scaled(at: now, to: pace)
        self.pace = pace
        if !freed.isEmpty { freed.removeFirst(firstUsable(at: now, opening, pace)) }
        if let slot = freedSlot(before: regular, at: now, opening, pace) {
            freed.removeFirst()
            return Token(slot: MonotonicInstant(nanoseconds: slot), end: nil, interval: pace.interval)
        }
        if let opening { full = max(full, opening.nanoseconds.saturatingPlus(pace.tolerance)) }
        if regular <= now, !freed.isEmpty { refill(at: now) }
        full = max(full, now).saturatingPlus(pace.interval)
        lastSlot = max(regular, now)
        return Token(slot: MonotonicInstant(nanoseconds: lastSlot), end: full, interval: pace.interval)
    }

    /// Puts a token back: its attempt was not sent.
    ///
    /// The last token of the schedule is simply removed from it. The slot of another token is kept for the next call,
    /// because the attempts behind it have their own slots already.
    mutating func giveBack(_ token: Token, at now: MonotonicInstant) {
        if let end = token.end, end == full, token.interval == pace.interval {
            full = full.saturatingPlus(-pace.interval)
            lastSlot = lastSlot.saturatingPlus(-pace.interval)
            return
        }
        guard freed.count < Self.maximumFreed else { return }
        // A slot that has passed counts as one that has just passed, because its attempt was not sent.
        let slot = max(token.slot.nanoseconds, now.nanoseconds.saturatingPlus(-1))
        freed.insert(slot, at: freed.firstIndex { $0 > slot } ?? freed.endIndex)
    }

    /// The slot of the next token that was never taken. It may have passed.
    private func regularSlot(at now: Int64, _ opening: MonotonicInstant?, _ pace: Pace) -> Int64 {
        let slot = scaled(at: now, to: pace).saturatingPlus(-pace.tolerance)
        return opening.map { max(slot, $0.nanoseconds) } ?? slot
    }

    /// The first slot that was given back; nil: there is none before `regular`, or the regular slot is there already.
    private func freedSlot(
        before regular: Int64, at now: Int64, _ opening: MonotonicInstant?, _ pace: Pace
    ) -> Int64? {
        guard regular > now, !freed.isEmpty else { return nil }
        let index = firstUsable(at: now, opening, pace)
        guard index < freed.endIndex else { return nil }
        let slot = max(freed[index], now)
        return slot < regular ? slot : nil
    }

    /// The index of the first slot that was given back and is not lost. Slots before the opening are lost, and slots that
    /// the bucket has no room for. While later tokens are reserved, one of them arrives in each interval and is used at
    /// once. So the bucket has room for one passed slot less than its burst: with one more, the next reserved token would
    /// be too many.
    private func firstUsable(at now: Int64, _ opening: MonotonicInstant?, _ pace: Pace) -> Int {
        let oldest = opening?.nanoseconds ?? .min
        let first = freed.firstIndex { $0 >= oldest } ?? freed.endIndex
        let passed = freed[first...].prefix { $0 < now }.count
        return first + max(0, passed - (pace.burst - 1))
    }

    /// Adds the tokens that were given back to the bucket. Tokens beyond its burst are lost, as in any bucket.
    private mutating func refill(at now: Int64) {
        let count = freed.prefix { $0 <= now }.count
        freed.removeFirst(count)
        full = full.saturatingPlus(-pace.interval.saturatingMultiplied(by: Int64(count)))
    }

    /// Returns ``full`` for another pace: the same number of tokens is missing. Reserved tokens keep their slots, so the
    /// next slot is at least one interval behind the last of them.
    private func scaled(at now: Int64, to pace: Pace) -> Int64 {
        guard pace != self.pace, full > now else { return full }
        let missing = Double(full.saturatingMinus(now)) / Double(self.pace.interval)
        let scaled = now.saturatingPlus(Int64(saturating: missing * Double(pace.interval)))
        guard lastSlot > now else { return scaled }
        return max(scaled, lastSlot.saturatingPlus(pace.interval).saturatingPlus(pace.tolerance))
    }
}

extension Int64 {
    /// The nearest value in the range; zero for NaN.
    init(saturating value: Double) {
        if value >= 9.2e18 {
            self = .max
        } else if value <= -9.2e18 {
            self = .min
        } else {
            self = value.isNaN ? 0 : Int64(value)
        }
    }

    fileprivate func saturatingPlus(_ other: Int64) -> Int64 {
        let (sum, overflowed) = addingReportingOverflow(other)
        return overflowed ? (other < 0 ? .min : .max) : sum
    }

    fileprivate func saturatingMinus(_ other: Int64) -> Int64 {
        let (difference, overflowed) = subtractingReportingOverflow(other)
        return overflowed ? (other < 0 ? .max : .min) : difference
    }

    /// For factors that are not negative.
    fileprivate func saturatingMultiplied(by other: Int64) -> Int64 {
        let (product, overflowed) = multipliedReportingOverflow(by: other)
        return overflowed ? .max : product
    }
}
