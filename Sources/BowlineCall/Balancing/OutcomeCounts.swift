internal import BowlineCore

/// The attempts that succeeded and failed in this period of 10 s and in the period before it. Pure.
struct OutcomeCounts {
    private static let period: Int64 = 10_000_000_000

    private var index: Int64 = .min
    private var current = Counts()
    private var previous = Counts()

    /// Numbers of attempts.
    struct Counts {
        var successes = 0
        var failures = 0

        var all: Int { successes + failures }

        static func + (left: Counts, right: Counts) -> Counts {
            Counts(successes: left.successes + right.successes, failures: left.failures + right.failures)
        }

        /// Without the attempts in `right`; no number is below zero.
        static func - (left: Counts, right: Counts) -> Counts {
            Counts(
                successes: max(0, left.successes - right.successes), failures: max(0, left.failures - right.failures))
        }
    }

    mutating func count(isFailure: Bool, at now: MonotonicInstant) {
        move(to: now)
        if isFailure {
            current.failures += 1
        } else {
            current.successes += 1
        }
    }

    /// Returns the attempts of the last 10 to 20 s.
    mutating func counts(at now: MonotonicInstant) -> Counts {
        move(to: now)
        return current + previous
    }

    /// Takes the attempts of `other` out of these counts.
    mutating func remove(_ other: OutcomeCounts, at now: MonotonicInstant) {
        var other = other
        other.move(to: now)
        move(to: now)
        current = current - other.current
        previous = previous - other.previous
    }

    private mutating func move(to now: MonotonicInstant) {
        let target = now.nanoseconds / Self.period
        guard target > index else { return }
        previous = index != .min && target == index + 1 ? current : Counts()
        current = Counts()
        index = target
    }

    /// Whether an endpoint fails far more often than the others: by at least 20 percentage points, and by four
    /// standard deviations of what chance explains.
    ///
    /// - Parameters:
    ///   - own: The endpoint's attempts; at least 20, or the answer is no.
    ///   - others: The attempts of all other endpoints; at least 20, or the answer is no.
    static func isFarBelow(_ own: Counts, _ others: Counts) -> Bool {
        guard own.all >= 20, others.all >= 20 else { return false }
        let usual = Double(others.failures + 1) / Double(others.all + 2)
        let share = Double(own.failures) / Double(own.all)
        let deviation = (usual * (1 - usual) / Double(own.all)).squareRoot()
        return share > usual + max(0.2, 4 * deviation)
    }
}
