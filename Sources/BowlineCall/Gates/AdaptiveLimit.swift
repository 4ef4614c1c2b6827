internal import BowlineCore
internal import BowlinePlatform

/// A limit of concurrency that follows the latency and the errors of the service.
///
/// The limit changes at the end of a *round*: as many results as attempts were in flight at its beginning (at least 10,
/// or the limit if that is lower). So a round lasts about as long as an attempt. At its end the limit
///
/// - falls, if at least 10 % of the results were signs of overload: by a quarter of their share. A smaller share slows
///   the growth. See ``OverloadShare`` for shares that do not depend on the limit.
/// - falls, if latency is at least 50 % above its minimum (the *base*) and the limit is used: to 85 % of
///   limit × base ÷ latency, at least by a tenth and at most by half.
/// - grows otherwise, if it is used: it doubles until `threshold` (at the start, and after an outage up to the limit
///   before), and from there on grows by half of its square root.
///
/// The limit is *used* if at least half of it was in flight. After it has fallen, the machine ignores the results of
/// the attempts that were in flight, and measures one round before the limit grows again.
///
/// Latency that varies by chance must not lower the limit. So averages of a round are compared, with their errors: see
/// ``LatencyStatistics``. The base is the lowest upper bound of an average.
///
/// The base has to follow a service whose latency changes. If a lower limit does not lower latency, the limit falls to
/// half and no further. Every 10 s (or 30 × base) the limit is halved for one round, a *probe*. If latency has not been
/// near the base since the last probe, the probe's latency is the new base. If the probe finds a lower latency than the
/// base, the limit goes on falling until latency no longer falls: the base was measured while attempts waited in the
/// service.
///
/// Several clients of one service find their limits independently. They share it roughly evenly, but not exactly: a
/// client that starts while the service is overloaded takes the raised latency for the base, until it sees a lower one.
struct AdaptiveLimit {
    /// The limits within which the limit stays.
    struct Bounds: Equatable {
        /// 1 or more.
        var minimum: Double
        /// `minimum` to 1,000,000.
        var maximum: Double
    }

    /// The results since the round began.
    private struct Round {
        var began: MonotonicInstant
        /// How many results end the round.
        var size: Int
        var successes = 0
        var overloads = 0
        /// The most attempts that were in flight.
        var peak: Int
        /// The sum of the successes' latencies in nanoseconds.
        var latencies = 0.0

        var results: Int { successes + overloads }
    }

    /// The lowest latency.
    private struct Base {
        /// The upper bound of the average logarithm.
        var logarithm: Double
        var nanoseconds: Double
        /// When the latency was last near it.
        var seen: MonotonicInstant

        init(_ latency: LatencyEstimate, at now: MonotonicInstant) {
            logarithm = latency.upper
            nanoseconds = latency.nanoseconds * exp2(latency.error)
            seen = now
        }
    }

    /// The change of the limit at the end of the last round.
    fileprivate enum Change {
        case none
        /// It doubled. More new attempts than usual are in flight, so those that have ended are quicker than average.
        case doubled
        /// It fell by this factor, because of this latency.
        case fell(by: Double, LatencyEstimate?)
        /// It was halved for a probe, at this latency.
        case probed(from: Double, LatencyEstimate, Probe)
    }

    fileprivate enum Probe {
        /// To see whether there is a lower latency.
        case periodic
        /// The base is replaced by the latency of the probe.
        case replacing
        /// The base is replaced unless the probe lowers latency.
        case doubting
    }

    /// In binary logarithms: latency above base × 1.5 is too high.
    private static let tolerance = 0.585
    /// Latency above base × 1.2 ends the doubling.
    private static let doublingTolerance = 0.25
    /// Latency below base × 1.07 is near the base; below base ÷ 1.07 it is a new minimum.
    private static let nearness = 0.1
    /// Latency that falls by less than this part of the limit's fall (both as logarithms) does not depend on the limit.
    private static let relief = 0.35
    private static let target = 0.85
    private static let probePeriod = 10e9

    private(set) var value: Double
    /// Below this the limit doubles.
    private var threshold = Double.infinity
    private var round: Round?
    /// How many results are ignored, because their attempts began before the limit fell.
    private var ignored: Int
    private var latency = LatencyStatistics()
    private var base: Base?
    private var change = Change.none
    private var probedAt = MonotonicInstant(nanoseconds: .min)
    /// When the base was last replaced by a higher one.
    private var replacedAt = MonotonicInstant(nanoseconds: .min)
    /// The limit when latency became too high, or when a lower limit last lowered it; nil: latency is not too high.
    private var limitBeforeExcess: Double?
    private var overload = OverloadShare()
    private var wasOverloaded = false
    /// The peak of the last round that was not overloaded.
    private var usualPeak = 0
    /// The average latency of the last round with successes, in nanoseconds.
    private var typical = 0.0

    init(initial: Double) {
        value = initial
        // The first attempts to end are quicker than average.
        ignored = Int(initial)
    }

    /// Records the result of an attempt.
    ///
    /// - Parameter inFlight: How many attempts were in flight, this one included.
    mutating func attemptEnded(
        _ sample: ConcurrencySample, inFlight: Int, at now: MonotonicInstant, _ bounds: Bounds
    ) {
        guard ignored == 0 else {
            ignored -= 1
            return
        }
        var current = round ?? makeRound(inFlight, at: now)
        current.peak = max(current.peak, inFlight)
        switch sample {
        case .ignored: break
        case .success(let took):
            current.successes += 1
            current.latencies += Double(took.saturatingNanoseconds)
            latency.add(took)
            overload.record(isOverload: false)
        case .overload, .timedOut:
            current.overloads += 1
            overload.record(isOverload: true)
        }
        guard isOver(current, at: now) else {
            round = current
            return
        }
        end(current, inFlight, at: now)
        value = max(bounds.minimum, min(value, bounds.maximum))
        round = ignored > 0 ? nil : makeRound(inFlight, at: now)
    }

    private func makeRound(_ inFlight: Int, at now: MonotonicInstant) -> Round {
        Round(began: now, size: max(min(10, Int(value)), inFlight), peak: inFlight)
    }

    /// A round with signs of overload also lasts as long as an attempt usually takes: attempts that a service refuses
    /// at once would make very short rounds.
    private func isOver(_ round: Round, at now: MonotonicInstant) -> Bool {
        guard round.results >= round.size else { return false }
        return round.overloads == 0 || Double(round.began.duration(to: now).saturatingNanoseconds) >= typical
    }

    private mutating func end(_ round: Round, _ inFlight: Int, at now: MonotonicInstant) {
        if round.successes > 0 {
            let average = round.latencies / Double(round.successes)
            typical += (average - typical) * (round.successes >= 10 || typical == 0 ? 1 : 0.2)
        }
        let isUsed = Double(round.peak) >= value / 2
        let share = Double(round.overloads) / Double(round.results)
        let isOverloaded = overload.isExcessive(share, of: Double(round.results))
        if isOverloaded, share >= 0.1 {
            followOverload(share, round.peak, inFlight)
            wasOverloaded = true
            probedAt = now
        } else {
            wasOverloaded = false
            usualPeak = round.peak
            if isOverloaded {
                if isUsed { growSlowly() }
                value *= 1 - share / 4
            } else {
                followLatency(round.peak, isUsed: isUsed, inFlight, at: now)
            }
        }
        latency.fade()
    }

    // MARK: Overload

    private mutating func followOverload(_ share: Double, _ peak: Int, _ inFlight: Int) {
        let (limit, thresholdBefore) = (value, threshold)
        let factor = 1 - share / 4
        // A limit that is not reached has no effect until it is below what is in flight.
        fall(by: factor, from: min(value, Double(max(peak, 1))), nil, inFlight)
        // After an outage the limit doubles until it is nearly what was in flight before.
        threshold = wasOverloaded ? thresholdBefore : max(value, min(limit, Double(usualPeak)) * 0.75)
        if let limit = overload.limitFalls(by: factor, from: limit, share) { threshold = limit }
        limitBeforeExcess = nil
    }

    // MARK: Latency

    private mutating func followLatency(_ peak: Int, isUsed: Bool, _ inFlight: Int, at now: MonotonicInstant) {
        guard let latency = latency.estimate else {
            switch change {
            case .probed: break
            case .none, .doubled, .fell: if isUsed { grow() }
            }
            return
        }
        let last = change
        change = .none
        let isNewMinimum = base.map { latency.upper < $0.logarithm - Self.nearness } ?? false
        if case .probed(let limit, let before, let probe) = last {
            if probe == .replacing || probe == .doubting && before.logarithm - latency.logarithm < Self.relief {
                base = Base(latency, at: now)
                replacedAt = now
            }
            threshold = limit
            limitBeforeExcess = nil
        }
        if let reason = learnBase(latency, last, isUsed: isUsed, at: now) {
            probe(reason, latency, peak, inFlight, at: now)
            return
        }
        if isNewMinimum, value > 1, isUsed || last.isProbe, last.isFall {
            noteRelief(last, latency)
            fall(by: 0.7, from: value, latency, inFlight)
            return
        }
        noteRelief(last, latency)
        guard let base else { return }
        let excess = latency.lower - base.logarithm
        if value < threshold, excess > Self.doublingTolerance { threshold = value }
        guard excess > Self.tolerance else {
            limitBeforeExcess = nil
            if isUsed { grow() }
            return
        }
        value = min(value, Double(peak) * 2)
        let highest = limitBeforeExcess ?? value
        guard isUsed else { return }
        limitBeforeExcess = highest
        guard value > highest / 2 else {
            if isPeriodOver(since: replacedAt, at: now) { probe(.doubting, latency, peak, inFlight, at: now) }
            return
        }
        if case .doubled = last { limitBeforeExcess = value / 2 }
        let factor = max(0.5, min(0.9, Self.target * base.nanoseconds / latency.nanoseconds))
        fall(by: factor, from: value, last.isDoubling ? nil : latency, inFlight)
    }

    /// Compares the latency with the base.
    ///
    /// - Returns: The reason for a probe; nil: it is not time for one.
    private mutating func learnBase(
        _ latency: LatencyEstimate, _ last: Change, isUsed: Bool, at now: MonotonicInstant
    ) -> Probe? {
        guard var known = base else {
            base = Base(latency, at: now)
            probedAt = now
            return nil
        }
        guard !last.isDoubling else { return nil }
        if latency.upper < known.logarithm {
            known = Base(latency, at: now)
        } else if latency.lower <= known.logarithm + Self.nearness {
            known.seen = now
        }
        base = known
        if last.isProbe { return nil }
        if isPeriodOver(since: known.seen, at: now) { return .replacing }
        let isSteady = isUsed && value >= min(threshold, 1_000_000) && limitBeforeExcess == nil
        return isSteady && isPeriodOver(since: probedAt, at: now) ? .periodic : nil
    }

    private func isPeriodOver(since instant: MonotonicInstant, at now: MonotonicInstant) -> Bool {
        let period = max(Self.probePeriod, 30 * (base?.nanoseconds ?? 0))
        return Double(instant.duration(to: now).saturatingNanoseconds) > period
    }

    private mutating func probe(
        _ reason: Probe, _ latency: LatencyEstimate, _ peak: Int, _ inFlight: Int, at now: MonotonicInstant
    ) {
        let limit = limitBeforeExcess ?? value
        fall(by: 0.5, from: min(value, Double(max(peak, 1))), nil, inFlight)
        change = .probed(from: limit, latency, reason)
        probedAt = now
    }

    /// If the lower limit has lowered latency, latency may lower the limit further.
    private mutating func noteRelief(_ last: Change, _ latency: LatencyEstimate) {
        guard case .fell(let factor, let before?) = last else { return }
        if before.logarithm - latency.logarithm > -Self.relief * log2(factor) { limitBeforeExcess = value }
    }

    // MARK: Changes

    private mutating func grow() {
        if value < threshold {
            value = min(value * 2, max(threshold, value + 1))
            change = .doubled
        } else {
            growSlowly()
            change = .none
        }
    }

    private mutating func growSlowly() {
        value += value.squareRoot() / 2
    }

    private mutating func fall(by factor: Double, from limit: Double, _ cause: LatencyEstimate?, _ inFlight: Int) {
        value = limit * factor
        threshold = value
        change = .fell(by: factor, cause)
        ignored = inFlight
        latency = LatencyStatistics()
    }
}

extension AdaptiveLimit.Change {
    fileprivate var isDoubling: Bool { if case .doubled = self { true } else { false } }
    fileprivate var isProbe: Bool { if case .probed = self { true } else { false } }
    fileprivate var isFall: Bool { if case .fell(_, .some) = self { true } else { isProbe } }
}
