package import BowlineCore

/// The retry budgets of a client, by origin. All requests of the client and of its derived clients share them.
package final class RetryBudgets: Sendable {
    /// The maximum number of budgets. At this number, a quarter of the budgets is removed: the least recently used.
    /// Many are removed at once, so that the search under the lock is rare.
    package static let maximumOrigins = 1024

    /// Budgets with different windows count separately, even for the same origin. One history cannot serve two windows.
    /// If each change of the window began a new history, requests with different windows would never reach the limit.
    private struct Key: Hashable {
        let origin: Origin
        let window: Duration
    }

    private let budgets = Guarded<[Key: RetryBudget]>([:])

    /// Limits the log lines about refused retries.
    let refusals = RefusalLog()

    package init() {}

    /// The result of a withdrawal from a budget.
    package struct Withdrawal {
        package let isGranted: Bool
        /// How many more retries the budget allows after the withdrawal.
        package let left: Int
    }

    package func recordRequest(to origin: Origin, at now: MonotonicInstant, _ options: RetryBudgetOptions) {
        with(origin, options) { $0.recordRequest(at: now) }
    }

    package func withdraw(
        from origin: Origin, at now: MonotonicInstant, _ options: RetryBudgetOptions
    ) -> Withdrawal {
        with(origin, options) { budget in
            let isGranted = budget.withdraw(at: now, options)
            return Withdrawal(isGranted: isGranted, left: budget.left(at: now, options))
        }
    }

    /// Returns a retry to its budget, because the retry does not begin. `instant` is the time at which it was granted.
    package func refund(to origin: Origin, withdrawnAt instant: MonotonicInstant, _ options: RetryBudgetOptions) {
        let key = Key(origin: origin, window: options.window)
        budgets.withLock { $0[key]?.refund(withdrawnAt: instant) }
    }

    package func left(for origin: Origin, at now: MonotonicInstant, _ options: RetryBudgetOptions) -> Int {
        with(origin, options) { $0.left(at: now, options) }
    }

    /// The number of budgets.
    package var count: Int { budgets.withLock { $0.count } }

    private func with<Result: Sendable>(
        _ origin: Origin, _ options: RetryBudgetOptions, _ body: (inout RetryBudget) -> Result
    ) -> Result {
        let key = Key(origin: origin, window: options.window)
        return budgets.withLock { budgets in
            if budgets.count >= Self.maximumOrigins, budgets[key] == nil {
                let oldest = budgets.sorted { $0.value.lastUsed < $1.value.lastUsed }.prefix(Self.maximumOrigins / 4)
                for entry in oldest { budgets[entry.key] = nil }
            }
            return body(&budgets[key, default: RetryBudget(window: options.window)])
        }
    }
}
