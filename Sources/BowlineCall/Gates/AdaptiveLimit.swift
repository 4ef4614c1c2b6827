internal import BowlineCore
internal import BowlinePlatform

/// A limit of concurrency that follows the latency.
struct AdaptiveLimit {
    /// The limits within which it stays.
    struct Bounds: Equatable {
        var minimum: Double
        var maximum: Double
    }

    private(set) var value: Double
    /// Below this value the limit doubles with each round trip; from it on it grows by its root.
    private var threshold = Double.infinity
    private var roundBegan = MonotonicInstant(nanoseconds: .min)
    private var decreasedAt = MonotonicInstant(nanoseconds: .min)
    private var successes = 0.0
    private var overloads = 0.0
    private var isUsed = false
    private var count = 0.0
    private var sum = 0.0
    private var squares = 0.0
    private var base = Double.infinity

    init(initial: Double) {
        value = initial
    }

    mutating func attemptEnded(
        _ sample: ConcurrencySample, inFlight: Int, at now: MonotonicInstant, _ bounds: Bounds
    ) {
        let latency: Duration
        var isOverload = false
        switch sample {
        case .ignored: return
        case .success(let took): latency = took
        case .overload(let took), .timedOut(let took):
            latency = took
            isOverload = true
        }
        let began = now.advanced(by: .zero - latency)
        guard began >= decreasedAt else { return }
        if Double(inFlight) >= value / 2 { isUsed = true }
        if isOverload {
            overloads += 1
        } else {
            successes += 1
            let logarithm = log2(Double(max(latency.saturatingNanoseconds, 1)))
            count += 1
            sum += logarithm
            squares += logarithm * logarithm
        }
        guard began >= roundBegan, successes + overloads >= min(10, value.rounded(.down)) else { return }
        endRound(at: now)
        value = max(bounds.minimum, min(value, bounds.maximum))
    }

    private mutating func endRound(at now: MonotonicInstant) {
        defer {
            roundBegan = now
            (successes, overloads, isUsed) = (0, 0, false)
        }
        if overloads > 0 {
            decrease(by: max(0.5, 1 - overloads / (successes + overloads) / 2), at: now)
            return
        }
        if count >= 10 {
            let mean = sum / count
            let error = 2 * (max(0, squares / count - mean * mean) / count).squareRoot()
            base = min(base, mean + error)
            (count, sum, squares) = (0, 0, 0)
            if isUsed, mean - error > base + 0.58 {
                decrease(by: max(0.5, 0.9 * exp2(base - mean)), at: now)
                return
            }
        }
        guard isUsed else { return }
        value = value < threshold ? min(value * 2, max(threshold, value + 1)) : value + max(1, value.squareRoot())
    }

    private mutating func decrease(by factor: Double, at now: MonotonicInstant) {
        value *= factor
        threshold = value
        decreasedAt = now
        (count, sum, squares) = (0, 0, 0)
    }
}
