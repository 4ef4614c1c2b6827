/// How many requests ended, and how.
struct Tally: Sendable {
    private(set) var succeeded = 0
    private(set) var failed = 0
    private(set) var refused = 0
    /// How long those took that succeeded.
    private(set) var latencies = LatencyHistogram()
    /// Failures by their code; statuses that count as failures by their number.
    private(set) var failures: [String: Int] = [:]

    /// Those that were issued and have ended.
    var requests: Int { succeeded + failed + refused }

    /// Counts one that succeeded.
    mutating func recordSuccess(nanoseconds: Int64) {
        succeeded += 1
        latencies.record(nanoseconds: nanoseconds)
    }

    /// Counts one that failed.
    mutating func recordFailure(_ name: String) {
        failed += 1
        failures[name, default: 0] += 1
    }

    /// Counts one that was refused.
    mutating func recordRefusal() {
        refused += 1
    }

    /// Counts one.
    mutating func record(_ outcome: Outcome, failsOnStatus: Bool) {
        switch outcome.verdict(failsOnStatus: failsOnStatus) {
        case .succeeded: recordSuccess(nanoseconds: outcome.duration.wholeNanoseconds)
        case .failed: recordFailure(outcome.failure?.code ?? "status \(outcome.response?.status ?? 0)")
        case .refused: recordRefusal()
        }
    }

    /// Adds what another has counted.
    mutating func add(_ other: Tally) {
        succeeded += other.succeeded
        failed += other.failed
        refused += other.refused
        latencies.add(other.latencies)
        failures.merge(other.failures) { $0 + $1 }
    }
}

extension Duration {
    /// Whole nanoseconds; what a request can take is far from where they overflow.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000
    }
}
