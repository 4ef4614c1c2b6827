import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// A random walk of the rate machine beside a model: a bucket that counts tokens, and a list of what went.
struct RateWalk {
    private struct Waiting {
        let reservation: RateReservation
        let due: MonotonicInstant
        let deadline: MonotonicInstant?
        let waitEnds: MonotonicInstant
    }

    private struct Gone {
        let reservation: RateReservation
        let slot: Int64
    }

    private(set) var rate = DrivenRate()
    private(set) var violations: [String] = []
    private var random: SeededRandom
    private let rule: RateRule
    private let interval: Int64
    private let burst: Int
    private let usesQuota: Bool
    private let withdraws: Bool
    private var now = MonotonicInstant(nanoseconds: 0)
    private var closedUntil = MonotonicInstant(nanoseconds: .min)
    private var waiting: [Waiting] = []
    /// Attempts that went, in the order of their slots, and have not been taken back.
    private var gone: [Gone] = []
    /// When tokens came back after their slot.
    private var lateReturns: [Int64] = []
    /// The tokens of a bucket to which no token ever returns, in nanoseconds of its interval; may be negative.
    private var level: Int64
    private var levelAt: Int64 = 0

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        interval = Int64(random.next(in: 1..<50)) * 1_000_000
        burst = random.next(in: 1..<8)
        usesQuota = random.nextBool(probability: 0.3)
        withdraws = random.nextBool(probability: 0.6)
        rule = RateRule(
            pace: .init(interval: interval, burst: burst), burst: burst,
            maximumWait: .milliseconds(random.next(in: 0..<400)))
        level = interval * Int64(burst)
    }

    mutating func run(steps: Int) {
        for step in 0..<steps where violations.isEmpty {
            now = now.advanced(by: .microseconds(random.nextBool() ? 0 : random.next(in: 0..<40_000)))
            switch random.next(in: 0..<100) {
            case 0..<60: take()
            case 60..<80: wake()
            case 80..<88 where withdraws: withdraw()
            case 88..<92: pause()
            case 92..<98 where usesQuota: readQuota()
            case 99 where step % 7 == 0: reset()
            default: break
            }
        }
    }

    private var isClosed: Bool { now < closedUntil }

    // MARK: Inputs

    private mutating func take() {
        let deadline =
            random.nextBool(probability: 0.3) ? now.advanced(by: .milliseconds(random.next(in: 0..<500))) : nil
        let waitEnds = now.advanced(by: rule.maximumWait)
        let decision = rate.take(at: now, deadline: deadline, rule)
        refill()
        switch decision {
        case .go(let reservation):
            if isClosed { violations.append("went although closed") }
            went(reservation, slot: now)
            level -= interval
        case .wait(let due, let reservation):
            check(due, waitEnds, deadline)
            expectNoToken()
            waiting.append(
                Waiting(reservation: reservation, due: due, deadline: deadline, waitEnds: waitEnds))
            level -= interval
        case .refuse(let reason, let retryAfter):
            check(reason, retryAfter, waitEnds, deadline)
            expectNoToken()
        }
    }

    private mutating func wake() {
        guard let index = waiting.indices.min(by: { waiting[$0].due < waiting[$1].due }) else { return }
        let one = waiting.remove(at: index)
        if random.nextBool(probability: 0.8) { now = max(now, one.due) }
        switch rate.woke(one.reservation, at: now, deadline: one.deadline, rule) {
        case .go(let reservation):
            if isClosed { violations.append("woke and went although closed") }
            if now < one.due { violations.append("went before its turn") }
            went(reservation, slot: one.due)
        case .wait(let due, let reservation):
            check(due, one.waitEnds, one.deadline)
            waiting.append(
                Waiting(reservation: reservation, due: due, deadline: one.deadline, waitEnds: one.waitEnds))
        case .refuse(let reason, let retryAfter):
            lateReturns.append(now.nanoseconds)
            if retryAfter == nil {
                if reason != .deadline || one.deadline.map({ $0 > now }) ?? true {
                    violations.append("refused without a time: \(reason)")
                }
            } else {
                check(reason, retryAfter, one.waitEnds, one.deadline)
            }
        }
    }

    private mutating func withdraw() {
        if random.nextBool(), !waiting.isEmpty {
            let one = waiting.remove(at: random.next(in: 0..<waiting.count))
            if one.due <= now { lateReturns.append(now.nanoseconds) }
            rate.withdrawn(one.reservation, at: now)
        } else if let last = gone.popLast() {
            lateReturns.append(now.nanoseconds)
            rate.withdrawn(last.reservation, at: now)
        }
    }

    private mutating func pause() {
        let pause = Duration.milliseconds(random.next(in: 0..<200))
        rate.answered(RateAdvice(pause: pause), at: now, random: random.nextDouble())
        closedUntil = max(closedUntil, now.advanced(by: pause))
    }

    private mutating func readQuota() {
        let quota: RateAdvice.Quota =
            random.nextBool(probability: 0.2)
            ? .ample : .low(remaining: Int64(random.next(in: 1..<50)), window: .milliseconds(random.next(in: 1..<900)))
        rate.answered(RateAdvice(quota: quota), at: now, random: 0)
    }

    private mutating func reset() {
        rate.reset(at: now)
        closedUntil = MonotonicInstant(nanoseconds: .min)
        waiting = []
        gone = []
        lateReturns = []
        level = interval * Int64(burst)
        levelAt = now.nanoseconds
    }

    // MARK: The model

    private mutating func refill() {
        // While the gate is closed and shortly after, the real bucket has fewer tokens than this one.
        if closedUntil.nanoseconds > levelAt { level = min(level, interval) }
        level = min(level + now.nanoseconds - levelAt, interval * Int64(burst))
        levelAt = now.nanoseconds
        if isClosed { level = min(level, 0) }
    }

    /// A bucket to which no token returns has no token either.
    private mutating func expectNoToken() {
        if !usesQuota, !isClosed, level >= interval, closedUntil.nanoseconds == .min {
            violations.append("waits or is refused although there is a token")
        }
    }

    private mutating func went(_ reservation: RateReservation, slot: MonotonicInstant) {
        let entry = Gone(reservation: reservation, slot: slot.nanoseconds)
        gone.insert(entry, at: gone.lastIndex { $0.slot <= entry.slot }.map { $0 + 1 } ?? 0)
        guard !usesQuota else { return }
        // In every period, at most the burst and what arrives meanwhile goes, and tokens that came back in this period
        // after their slot.
        for first in max(0, gone.count - 60)..<gone.count {
            let begin = gone[first].slot
            let count = gone.count - first
            let end = gone[gone.count - 1].slot
            let allowed = burst + Int((end - begin) / interval) + lateReturns.count { $0 >= begin }
            if count > allowed { violations.append("\(count) went within \(end - begin) ns, allowed \(allowed)") }
        }
    }

    private mutating func check(_ due: MonotonicInstant, _ waitEnds: MonotonicInstant, _ deadline: MonotonicInstant?) {
        if due <= now { violations.append("waits for the past") }
        if due > waitEnds { violations.append("waits longer than it may") }
        if let deadline, due >= deadline { violations.append("waits beyond its deadline") }
        if due < closedUntil { violations.append("waits until before the opening") }
    }

    private mutating func check(
        _ reason: GateRefusal.Reason, _ retryAfter: Duration?, _ waitEnds: MonotonicInstant,
        _ deadline: MonotonicInstant?
    ) {
        guard let retryAfter, retryAfter > .zero else { return violations.append("no time to come back") }
        let due = now.advanced(by: retryAfter)
        switch reason {
        case .deadline:
            if deadline.map({ due < $0 }) ?? true { violations.append("refused for a deadline that is not passed") }
        case .waitTooLong:
            if due <= waitEnds || isClosed { violations.append("refused for a wait that is not too long") }
        case .closedByService:
            if due <= waitEnds || !isClosed { violations.append("refused although not closed") }
        default: violations.append("refused for another gate's reason")
        }
    }
}
