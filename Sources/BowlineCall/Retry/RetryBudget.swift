internal import BowlineCore

/// Counts the requests and retries to one origin over a sliding window, and says how many more retries it may have.
///
/// Pure: the time is an argument. One that lies before the latest counts as the latest.
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

    /// - Parameter window: Over how long is counted.
    init(window: Duration) {
        slice = max(window, .milliseconds(10)) / Self.slices
    }

    /// When anything was last counted.
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

    /// A retry that was counted at `withdrawn` is not made. One that a later time had been counted before stays counted.
    mutating func giveBack(withdrawn: MonotonicInstant) {
        let index = withdrawn.nanoseconds / slice.saturatingNanoseconds
        guard let place = ring.firstIndex(where: { $0.index == index && $0.retries > 0 }) else { return }
        ring[place].retries -= 1
    }

    /// How many more retries there may be at this moment, by options with the window that is counted over.
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
        // Middleware may set any value, and it is not checked again: more than any client can use is as good as no limit.
        let limit = allowed >= 0 && allowed < 1e15 ? Int(allowed) : 1_000_000_000_000_000
        return max(0, limit - retries)
    }

    /// The slice that `now` falls into, emptied if it was last used for an earlier one.
    private mutating func place(at now: MonotonicInstant) -> Int {
        latest = max(latest, now)
        let index = latest.nanoseconds / slice.saturatingNanoseconds
        let place = Int(((index % Int64(Self.slices)) + Int64(Self.slices)) % Int64(Self.slices))
        if ring[place].index != index { ring[place] = Slice(index: index) }
        return place
    }
}
