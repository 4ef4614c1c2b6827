internal import BowlineCore

/// The results of attempts within a sliding window, as a ring of slices.
///
/// If an argument is earlier than the latest time so far, the latest time is used.
struct BreakerWindow {
    struct Counts: Equatable {
        var attempts = 0
        var failures = 0
        var slow = 0

        static func += (left: inout Counts, right: Counts) {
            left.attempts += right.attempts
            left.failures += right.failures
            left.slow += right.slow
        }

        static func -= (left: inout Counts, right: Counts) {
            left.attempts -= right.attempts
            left.failures -= right.failures
            left.slow -= right.slow
        }
    }

    private static let slices: Int64 = 10

    private var ring: [Counts] = []
    /// The number of the latest slice since the clock's start.
    private var latest = Int64.min
    /// The length of a slice in nanoseconds.
    private var length: Int64 = 1
    /// The sum of the ring.
    private(set) var counts = Counts()

    /// Adds the result of one attempt.
    ///
    /// - Parameter window: The length of the window. While results of another window are counted, that one is used.
    mutating func record(isFailure: Bool, isSlow: Bool, at now: MonotonicInstant, window: Duration) {
        advance(to: now)
        if counts.attempts == 0 {
            length = max(window.saturatingNanoseconds / Self.slices, 1_000_000)
            latest = Self.floored(now.nanoseconds, length)
            if ring.isEmpty { ring = [Counts](repeating: Counts(), count: Int(Self.slices)) }
        }
        let one = Counts(attempts: 1, failures: isFailure ? 1 : 0, slow: isSlow ? 1 : 0)
        ring[Self.place(of: latest)] += one
        counts += one
    }

    /// Forgets all results.
    mutating func clear() {
        guard counts.attempts > 0 else { return }
        for index in ring.indices { ring[index] = Counts() }
        counts = Counts()
    }

    private mutating func advance(to now: MonotonicInstant) {
        let current = Self.floored(now.nanoseconds, length)
        guard counts.attempts > 0, current > latest else { return }
        if current - latest >= Self.slices {
            clear()
        } else {
            for slice in (latest + 1)...current {
                let place = Self.place(of: slice)
                counts -= ring[place]
                ring[place] = Counts()
            }
        }
        latest = current
    }

    private static func floored(_ value: Int64, _ divisor: Int64) -> Int64 {
        value >= 0 ? value / divisor : (value + 1) / divisor - 1
    }

    private static func place(of slice: Int64) -> Int {
        let rest = slice % slices
        return Int(rest < 0 ? rest + slices : rest)
    }
}
