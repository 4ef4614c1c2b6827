/// How many requests have ended, by result.
struct Tally: Sendable {
    private(set) var succeeded = 0
    private(set) var failed = 0
    private(set) var refused = 0
    /// The durations of the requests that succeeded.
    private(set) var latencies = LatencyHistogram()
    /// How many requests failed, by error code, or by status for a status that counts as a failure.
    private(set) var failures: [String: Int] = [:]

    /// All requests that were issued and have ended.
    var requests: Int { succeeded + failed + refused }

    /// The facts of one request that a tally counts.
    enum Entry: Sendable, Hashable {
        case success(nanoseconds: Int64)
        /// The name is the error's code, or the status.
        case failure(String)
        case refusal

        init(_ outcome: Outcome, failsOnStatus: Bool) {
            self =
                switch outcome.verdict(failsOnStatus: failsOnStatus) {
                case .succeeded: .success(nanoseconds: outcome.duration.wholeNanoseconds)
                case .failed: .failure(outcome.failure?.code ?? "status \(outcome.response?.status ?? 0)")
                case .refused: .refusal
                }
        }
    }

    /// Counts a request.
    mutating func record(_ entry: Entry) {
        switch entry {
        case .success(let nanoseconds):
            succeeded += 1
            latencies.record(nanoseconds: nanoseconds)
        case .failure(let name):
            failed += 1
            failures[name, default: 0] += 1
        case .refusal: refused += 1
        }
    }

    /// Adds the counts of another tally.
    mutating func add(_ other: Tally) {
        succeeded += other.succeeded
        failed += other.failed
        refused += other.refused
        latencies.add(other.latencies)
        failures.merge(other.failures) { $0 + $1 }
    }
}

extension Duration {
    /// The duration in whole nanoseconds. It overflows after 292 years; no request takes that long.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000
    }
}
