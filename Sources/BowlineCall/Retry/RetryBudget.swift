internal import BowlineCore

/// Counts the requests and retries to one origin over a sliding window, and computes how many more retries are allowed.
///
/// Pure: the time is an argument. If an argument is earlier than the latest time so far, the latest time is used.
struct RetryBudget {
    private static let slices = 10

    private struct Slice {
        var index: Int64 = .min
        var requests = 0
        var retries = 0
    }

    private var ring = [Slice](repeating: Slice(), count: slices)
    private var latest = MonotonicInstant(nanoseconds: .min)
    private let slice: Duration

    /// - Parameter window: The length of the sliding window.
    init(window: Duration) {
        slice = max(window, .milliseconds(10)) / Self.slices
    }

    /// The latest time at which the budget was used.
    var lastUsed: MonotonicInstant { latest }

    mutating func recordRequest(at now: MonotonicInstant) {
        ring[place(at: now)].requests += 1
    }

    /// Counts a retry if the budget allows one.
    mutating func withdraw(at now: MonotonicInstant, _ options: RetryBudgetOptions) -> Bool {
        guard left(at: now, options) > 0 else { return false }
        ring[place(at: now)].retries += 1
        return true
    }

    /// Removes a retry from the count, because the retry does not begin. The retry was counted at the latest time so
    /// far, which may be later than `instant`. In that case the retry may stay counted.
    ///
    /// - Parameter instant: The time that ``withdraw(at:_:)`` got when it counted the retry.
    mutating func refund(withdrawnAt instant: MonotonicInstant) {
        let index = instant.nanoseconds / slice.saturatingNanoseconds
        guard let place = ring.firstIndex(where: { $0.index == index && $0.retries > 0 }) else { return }
        ring[place].retries -= 1
    }

    /// Returns how many more retries are allowed at `now`. `options.window` must be the window of this budget.
    mutating func left(at now: MonotonicInstant, _ options: RetryBudgetOptions) -> Int {
        let current = ring[place(at: now)].index
        var requests = 0
        var retries = 0
        for slice in ring where slice.index > current - Int64(Self.slices) {
            requests += slice.requests
            retries += slice.retries
        }
        let seconds = Double(options.window.saturatingNanoseconds) / 1e9
        let allowed = Double(requests) * options.ratio + Double(options.perSecond) * seconds
        // Middleware may set any value, and the value is not checked again. A number that no client can reach works
        // like no limit.
        let limit = allowed >= 0 && allowed < 1e15 ? Int(allowed) : 1_000_000_000_000_000
        return max(0, limit - retries)
    }

    /// Returns the index in `ring` of the slice for `now`. Empties the slice if it contains the counts of an earlier
    /// time.
    private mutating func place(at now: MonotonicInstant) -> Int {
        latest = max(latest, now)
        let index = latest.nanoseconds / slice.saturatingNanoseconds
        let place = Int(((index % Int64(Self.slices)) + Int64(Self.slices)) % Int64(Self.slices))
        if ring[place].index != index { ring[place] = Slice(index: index) }
        return place
    }
}
