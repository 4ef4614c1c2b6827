import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// Processes that take tokens from one store, in steps of a millisecond. Each process has more attempts than tokens.
struct SimulatedFleet {
    private struct Process {
        var supply = TokenSupplyStateMachine()
        var ask: (question: TokenSupplyStateMachine.Ask, answeredAt: Int)?
        var timer: TokenSupplyStateMachine.Timer?
        /// The attempts that wait for the store, with the ends of their waits, in order.
        var waiting: [(ticket: UInt64, until: MonotonicInstant)] = []
    }

    private let limit: RateLimit
    private var processes: [Process]
    private var random: SeededRandom
    /// The store: a bucket of tokens.
    private var tokens: Double
    private var time = 0
    private var lastTicket: UInt64 = 0
    /// Attempts that went.
    private(set) var gone = 0
    /// Questions for the store.
    private(set) var questions = 0
    /// Whether the store does not answer.
    var isStoreAway = false

    init(seed: UInt64, processes count: Int, _ limit: RateLimit) {
        self.limit = limit
        processes = (0..<count).map { _ in Process() }
        random = SeededRandom(seed: seed)
        tokens = Double(limit.burst)
    }

    /// Attempts that wait.
    var waiting: Int { processes.reduce(0) { $0 + $1.waiting.count } }

    mutating func run(until end: Int) {
        while time < end {
            time += 1
            tokens = min(tokens + limit.perSecond / 1000, Double(limit.burst))
            for index in processes.indices { step(index) }
        }
    }

    private var now: MonotonicInstant { MonotonicInstant(nanoseconds: Int64(time) * 1_000_000) }

    private mutating func step(_ index: Int) {
        while let first = processes[index].waiting.first, first.until <= now {
            processes[index].waiting.removeFirst()
            _ = processes[index].supply.waitEnded(first.ticket)
        }
        if let ask = processes[index].ask, ask.answeredAt <= time { answer(ask.question, index) }
        if let timer = processes[index].timer, timer.ends <= now {
            processes[index].timer = nil
            apply(processes[index].supply.timerFired(timer.number, at: now, limit), index)
        }
        // 400 attempts per second and process, at random times.
        for _ in 0..<2 where random.nextBool(probability: 0.2) { take(index) }
    }

    private mutating func take(_ index: Int) {
        lastTicket += 1
        let (entry, effects) = processes[index].supply.take(
            lastTicket, at: now, waitEnds: now.advanced(by: .seconds(1)), deadline: nil, limit)
        switch entry {
        case .go: gone += 1
        case .waits(let until, _): processes[index].waiting.append((lastTicket, until))
        case .refused: break
        }
        apply(effects, index)
    }

    private mutating func answer(_ question: TokenSupplyStateMachine.Ask, _ index: Int) {
        processes[index].ask = nil
        if isStoreAway {
            return apply(processes[index].supply.storeFailed(question.number, at: now, limit), index)
        }
        let count = min(question.count, Int(tokens))
        tokens -= Double(count)
        let grant = RateLimitGrant(count: count, retryAfter: count < question.count ? .milliseconds(1) : .zero)
        apply(processes[index].supply.storeAnswered(question.number, grant, at: now, limit), index)
    }

    private mutating func apply(_ effects: TokenSupplyStateMachine.Effects, _ index: Int) {
        for settled in effects.settled {
            processes[index].waiting.removeAll { $0.ticket == settled.ticket }
            if case .go = settled.turn { gone += 1 }
        }
        if let question = effects.ask {
            questions += 1
            // A store that is away is noticed when its time is over.
            processes[index].ask = (question, time + (isStoreAway ? 100 : 1))
        }
        if let timer = effects.timer { processes[index].timer = timer }
    }
}
