internal import Bowline

/// Counts the requests and retries to one origin, and compares each retry with what the budget allows.
///
/// Independent of the client's own count, which has slices of a tenth of the window. So retries count for nine tenths
/// of the window here, and requests for all of it: a retry that this count refuses is too much for any count.
struct BudgetLedger: Sendable {
    private let budget: RetryBudgetOptions
    private var requests: [MonotonicInstant] = []
    private var retries: [MonotonicInstant] = []

    init(_ budget: RetryBudgetOptions) {
        self.budget = budget
    }

    /// A request that may be retried or hedged has begun.
    mutating func requested(at now: MonotonicInstant) {
        requests.append(now)
    }

    /// The client has granted a retry or a hedge.
    ///
    /// - Parameter counts: Whether it counts for later retries. False: it was returned to the budget.
    /// - Returns: the violation; nil: the budget allows it.
    mutating func granted(at now: MonotonicInstant, counts: Bool) -> String? {
        let earlier = retries.count { $0.duration(to: now) < budget.window * 9 / 10 }
        let counted = requests.count { $0.duration(to: now) <= budget.window }
        let seconds = Double(budget.window / .seconds(1))
        let allowed = Int(Double(counted) * budget.ratio + Double(budget.perSecond) * seconds)
        if counts { retries.append(now) }
        return earlier + 1 > allowed ? "retry \(earlier + 1) exceeds the budget of \(allowed)" : nil
    }
}
