internal import BowlineCore

/// The addresses to which a connect failed recently. They go last in the next dials.
///
/// A failure counts for `Limits.memory`, unless a connect to the address succeeds before. Of more than
/// `Limits.maximumAddresses` failures, the oldest is dropped.
struct FailedAddresses {
    struct Limits {
        /// How long a failure counts.
        var memory = Duration.seconds(60)
        var maximumAddresses = 1000
    }

    private let limits: Limits
    private var failures: [IPAddress: MonotonicInstant] = [:]

    var count: Int { failures.count }

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Records that a connect to `address` failed.
    mutating func failed(_ address: IPAddress, now: MonotonicInstant) {
        failures[address] = now
        guard failures.count > limits.maximumAddresses else { return }
        failures = failures.filter { isRecent($0.value, now) }
        guard failures.count > limits.maximumAddresses else { return }
        if let oldest = failures.min(by: { $0.value < $1.value }) { failures[oldest.key] = nil }
    }

    /// Records that a connect to `address` succeeded.
    mutating func succeeded(_ address: IPAddress) {
        if !failures.isEmpty { failures[address] = nil }
    }

    /// Returns the same addresses. Those that failed recently are last, and `recentlyFailed` is their number. Otherwise
    /// the order stays.
    func ordered(_ addresses: [IPAddress], now: MonotonicInstant) -> (addresses: [IPAddress], recentlyFailed: Int) {
        guard !failures.isEmpty, addresses.contains(where: { isFailed($0, now) }) else { return (addresses, 0) }
        let failed = addresses.filter { isFailed($0, now) }
        return (addresses.filter { !isFailed($0, now) } + failed, failed.count)
    }

    private func isFailed(_ address: IPAddress, _ now: MonotonicInstant) -> Bool {
        failures[address].map { isRecent($0, now) } ?? false
    }

    private func isRecent(_ failure: MonotonicInstant, _ now: MonotonicInstant) -> Bool {
        failure.duration(to: now) <= limits.memory
    }
}
