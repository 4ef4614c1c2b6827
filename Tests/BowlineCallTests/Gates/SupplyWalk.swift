import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// A machine for the tokens of a store, and the transitions that it has made.
struct DrivenSupply {
    private(set) var machine = TokenSupplyStateMachine()
    private(set) var transitions: Set<DocumentedTransition> = []

    mutating func take(
        _ ticket: UInt64, at now: MonotonicInstant, waitEnds: MonotonicInstant, deadline: MonotonicInstant? = nil,
        _ limit: RateLimit
    ) -> (TokenSupplyStateMachine.Entry, TokenSupplyStateMachine.Effects) {
        let state = machine.state
        let result = machine.take(ticket, at: now, waitEnds: waitEnds, deadline: deadline, limit)
        note("take", from: state, result.1)
        return result
    }

    mutating func storeAnswered(
        _ number: UInt64, _ grant: RateLimitGrant, at now: MonotonicInstant, _ limit: RateLimit
    ) -> TokenSupplyStateMachine.Effects {
        note("storeAnswered") { $0.storeAnswered(number, grant, at: now, limit) }
    }

    mutating func storeFailed(
        _ number: UInt64, at now: MonotonicInstant, _ limit: RateLimit
    ) -> TokenSupplyStateMachine.Effects {
        note("storeFailed") { $0.storeFailed(number, at: now, limit) }
    }

    mutating func timerFired(
        _ number: UInt64, at now: MonotonicInstant, _ limit: RateLimit
    ) -> TokenSupplyStateMachine.Effects {
        note("timerFired") { $0.timerFired(number, at: now, limit) }
    }

    mutating func withdrawn(
        _ token: SuppliedToken, at now: MonotonicInstant, _ limit: RateLimit
    ) -> TokenSupplyStateMachine.Effects {
        note("withdrawn") { $0.withdrawn(token, at: now, limit) }
    }

    mutating func waitEnded(_ ticket: UInt64) -> Bool { machine.waitEnded(ticket) }

    private mutating func note(
        _ input: String, _ change: (inout TokenSupplyStateMachine) -> TokenSupplyStateMachine.Effects
    ) -> TokenSupplyStateMachine.Effects {
        let state = machine.state
        let effects = change(&machine)
        note(input, from: state, effects)
        return effects
    }

    private mutating func note(
        _ input: String, from state: TokenSupplyStateMachine.State, _ effects: TokenSupplyStateMachine.Effects
    ) {
        transitions.insert(
            DocumentedTransition(
                state: state.rawValue, input: input, result: effects.ask == nil ? "no" : "yes",
                next: machine.state.rawValue))
    }
}

/// A random walk of the machine beside a model: the tokens that the store gave, and the attempts that wait, in order.
struct SupplyWalk {
    private(set) var supply = DrivenSupply()
    private(set) var violations: [String] = []
    private var random: SeededRandom
    private let limit: RateLimit
    private var now = MonotonicInstant(nanoseconds: 0)
    private var lastTicket: UInt64 = 0
    /// The attempts that wait, in order, with the end of their wait.
    private var waiting: [(ticket: UInt64, until: MonotonicInstant)] = []
    private var held: [SuppliedToken] = []
    private var ask: TokenSupplyStateMachine.Ask?
    private var timer: TokenSupplyStateMachine.Timer?
    /// The tokens that the store gave and no attempt has; dropped ones are in it too.
    private var stock = 0

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        limit = RateLimit(perSecond: Double(random.next(in: 1..<2000)), burst: random.next(in: 1..<100))
    }

    mutating func run(steps: Int) {
        for _ in 0..<steps where violations.isEmpty {
            now = now.advanced(by: .microseconds(random.nextBool() ? 0 : random.next(in: 0..<20_000)))
            if random.nextBool(probability: 0.003) { now = now.advanced(by: .seconds(random.next(in: 1..<30))) }
            switch random.next(in: 0..<100) {
            case 0..<55: take()
            case 55..<80: answer()
            case 80..<88: fireTimer()
            case 88..<94: endWait()
            default: withdraw()
            }
            if supply.machine.waiting != waiting.count {
                violations.append("\(supply.machine.waiting) wait, expected \(waiting.count)")
            }
        }
    }

    private mutating func take() {
        lastTicket += 1
        let waitEnds = now.advanced(by: .milliseconds(random.next(in: 0..<300)))
        let deadline =
            random.nextBool(probability: 0.2) ? now.advanced(by: .milliseconds(random.next(in: 0..<300))) : nil
        let (entry, effects) = supply.take(lastTicket, at: now, waitEnds: waitEnds, deadline: deadline, limit)
        let end = min(waitEnds, deadline ?? .distantFuture)
        switch entry {
        case .go(let token):
            if !waiting.isEmpty { violations.append("went before the attempts that wait") }
            got(token)
        case .waits(let until, let reason):
            if until != end { violations.append("waits until another time") }
            if reason != (end == waitEnds && deadline != end ? .waitTooLong : .deadline) {
                violations.append("waits with the reason \(reason)")
            }
            waiting.append((lastTicket, until))
        case .refused(let reason, _):
            if reason != .waitTooLong && reason != .deadline { violations.append("refused with \(reason)") }
        }
        apply(effects)
    }

    private mutating func answer() {
        guard let question = ask else { return }
        ask = nil
        if random.nextBool(probability: 0.2) {
            return apply(supply.storeFailed(question.number, at: now, limit))
        }
        // A store may also answer nonsense.
        let all = random.nextBool(probability: 0.5)
        let count = all ? question.count : random.next(in: -1..<question.count + 2)
        let retryAfter = Duration.milliseconds(random.next(in: -5..<100))
        stock += max(0, min(count, question.count))
        let effects = supply.storeAnswered(
            question.number, RateLimitGrant(count: count, retryAfter: retryAfter), at: now, limit)
        apply(effects)
        // A second answer to the same question changes nothing.
        if supply.storeFailed(question.number, at: now, limit) != .init(), ask == nil {
            violations.append("an old question has an effect")
        }
    }

    private mutating func fireTimer() {
        guard let timer else { return }
        self.timer = nil
        now = max(now, timer.ends)
        apply(supply.timerFired(timer.number, at: now, limit))
    }

    private mutating func endWait() {
        guard !waiting.isEmpty else { return }
        let one = waiting.remove(at: random.next(in: 0..<waiting.count))
        if !supply.waitEnded(one.ticket) { violations.append("an attempt was not in the queue") }
        if supply.waitEnded(one.ticket) { violations.append("an attempt was in the queue twice") }
    }

    private mutating func withdraw() {
        guard !held.isEmpty else { return }
        let token = held.remove(at: random.next(in: 0..<held.count))
        if token == .store { stock += 1 }
        apply(supply.withdrawn(token, at: now, limit))
    }

    private mutating func got(_ token: SuppliedToken) {
        held.append(token)
        switch token {
        case .store:
            stock -= 1
            if stock < 0 { violations.append("more tokens than the store gave") }
        case .local:
            if !supply.machine.isStoreAway { violations.append("a local token although the store answers") }
        }
    }

    private mutating func apply(_ effects: TokenSupplyStateMachine.Effects) {
        for settled in effects.settled {
            guard let first = waiting.first, first.ticket == settled.ticket else {
                violations.append("settled out of order")
                return
            }
            waiting.removeFirst()
            switch settled.turn {
            case .go(let token): got(token)
            case .expired: break
            }
        }
        if let question = effects.ask {
            if ask != nil { violations.append("two questions at once") }
            if !(1...max(1, limit.burst)).contains(question.count) { violations.append("asks for \(question.count)") }
            ask = question
        }
        if let timer = effects.timer {
            if timer.ends <= now, !supply.machine.isStoreAway { violations.append("a timer for the past") }
            self.timer = timer
        }
        let isAsked = supply.machine.state == .asking || supply.machine.state == .probing
        if isAsked != (ask != nil) { violations.append("in \(supply.machine.state) without a question, or with one") }
        if !waiting.isEmpty, ask == nil, timer == nil { violations.append("attempts wait, and nothing will wake them") }
        if !waiting.isEmpty, supply.machine.isStoreAway, timer == nil { violations.append("no timer while away") }
    }
}
