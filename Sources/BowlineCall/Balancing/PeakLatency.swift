internal import BowlineCore

/// An estimate of an endpoint's latency (*peak EWMA*): it rises to a longer latency at once, and falls slowly to a
/// shorter one. Pure.
///
/// Without news the estimate moves towards the average of all endpoints. So an endpoint that was slow gets an attempt
/// from time to time, which shows whether it still is.
struct PeakLatency {
    /// The period of the moving averages: after it, 1/e of an old value is left.
    private static let period = 10e9
    /// The estimate at ``instant``, in nanoseconds; nil: not known.
    private var peak: Double?
    private var instant = MonotonicInstant(nanoseconds: 0)
    /// Until when the times of cancelled attempts have been added.
    private var addedUntil = MonotonicInstant(nanoseconds: .min)

    /// Whether no attempt has ended yet.
    var isUnknown: Bool { peak == nil }

    /// Returns the estimate in nanoseconds. An endpoint that is not known counts as average.
    func nanoseconds(at now: MonotonicInstant, average: Double) -> Double {
        guard let peak else { return average }
        return average + (peak - average) * Self.remainder(from: instant, to: now)
    }

    /// Records a response.
    mutating func succeeded(after latency: Duration, at now: MonotonicInstant, average: Double) {
        let sample = Self.nanoseconds(latency)
        guard peak != nil else { return set(sample, at: now) }
        let current = nanoseconds(at: now, average: average)
        if sample >= current { return set(sample, at: now) }
        set(sample + (current - sample) * Self.remainder(from: instant, to: now), at: now)
    }

    /// Records that an attempt has failed after this time. Such an attempt can raise the estimate, and cannot lower it.
    mutating func failed(after elapsed: Duration, at now: MonotonicInstant, average: Double) {
        let sample = Self.nanoseconds(elapsed)
        if sample > nanoseconds(at: now, average: average) { set(sample, at: now) }
    }

    /// Records that an attempt was cancelled after this time, for example because its hedge was faster.
    ///
    /// An attempt that was cancelled before the average time says nothing. The answer to a longer one would have come
    /// later, on average after the endpoint's usual time from then on. So the attempt's time is added to the estimate.
    /// Otherwise hedges would hide how slow an endpoint is. The times of attempts that were in flight together count once.
    mutating func wasCancelled(after elapsed: Duration, at now: MonotonicInstant, average: Double) {
        let sample = Self.nanoseconds(elapsed)
        guard sample > average else { return }
        let added = min(sample, max(0, Double(now.nanoseconds) - Double(addedUntil.nanoseconds)))
        addedUntil = now
        set(max(nanoseconds(at: now, average: average), sample) + added, at: now)
    }

    private mutating func set(_ value: Double, at now: MonotonicInstant) {
        peak = value
        instant = now
    }

    /// At least a microsecond, so that attempts in flight count on endpoints that answer at once.
    static func nanoseconds(_ duration: Duration) -> Double {
        max(1000, Double(duration.saturatingNanoseconds))
    }

    /// Returns which part of an old value is left: e^(-elapsed/period), within 3 %. Needs no C library.
    static func remainder(from start: MonotonicInstant, to now: MonotonicInstant) -> Double {
        // In floating point, because the difference of two instants may not fit into an integer.
        let elapsed = max(0, Double(now.nanoseconds) - Double(start.nanoseconds))
        var inverse = 1 + elapsed / (period * 16)
        for _ in 0..<4 { inverse *= inverse }
        return 1 / inverse
    }
}

/// The average latency of all endpoints of a balancer, over the last seconds. Pure.
struct AverageLatency {
    /// The average in nanoseconds. One millisecond until a response has arrived: while no latency is known, all
    /// endpoints have the same, so the value does not matter.
    private(set) var nanoseconds = 1e6
    private var instant: MonotonicInstant?

    mutating func succeeded(after latency: Duration, at now: MonotonicInstant) {
        let sample = PeakLatency.nanoseconds(latency)
        guard let instant else {
            nanoseconds = sample
            self.instant = now
            return
        }
        nanoseconds = sample + (nanoseconds - sample) * PeakLatency.remainder(from: instant, to: now)
        self.instant = now
    }
}
