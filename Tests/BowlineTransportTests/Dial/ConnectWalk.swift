import BowlineCore
import BowlineTesting

@testable import BowlineTransport

/// One connect in virtual time: the machine, scripted look-ups and attempts, and the model beside it.
struct ConnectWalk: ~Copyable {
    /// How the network of a walk behaves.
    enum Network: CaseIterable {
        case mixed, silent, refusing, instant
        /// The first addresses swallow packets, and each of the others connects.
        case swallowsFirst
        /// One family swallows packets, and each address of the other connects.
        case swallowsFamily
    }

    private enum Happening {
        case answer(IPAddress.Family, [IPAddress], recentlyFailed: Int)
        case lookUpFails(IPAddress.Family)
        case connects(ConnectStateMachine.Attempt)
        case fails(ConnectStateMachine.Attempt, ConnectFailure.Kind)
        case timer(ConnectStateMachine.TimerID)
        case limit
    }

    private struct Entry {
        let instant: Int
        let number: Int
        let happening: Happening
    }

    private let network: Network
    /// How many of the first attempts swallow packets, or the family whose addresses do.
    private let swallowed: Int
    private let swallowing: IPAddress.Family
    /// After how many events the walk cancels the connect; nil: only at the dial's limit.
    private let cancelledAfter: Int?
    private var random: SeededRandom
    private var machine: ConnectStateMachine
    private var model: ConnectModel
    private var agenda: [Entry] = []
    private var entriesMade = 0
    private(set) var now = 0
    private(set) var steps = 0

    private var timer: (id: ConnectStateMachine.TimerID, at: Int)?
    private var opened: [ConnectStateMachine.Attempt] = []
    private var failed: Set<ConnectStateMachine.AttemptID> = []
    private var closed: Set<ConnectStateMachine.AttemptID> = []
    private var winners: [ConnectStateMachine.Attempt] = []
    private var failures: [ConnectFailure] = []
    private var isCancelled = false
    /// Since when only the delay after an open attempt holds the next one; nil: something else holds it.
    private var heldByDelaySince: Int?

    init(_ random: SeededRandom, network: Network? = nil, cancelledAfter: Int? = nil) {
        var random = random
        let preferred: IPAddress.Family = random.nextBool(probability: 0.8) ? .v6 : .v4
        let drawn = Network.allCases[random.next(in: 0..<Network.allCases.count)]
        self.network = network ?? drawn
        swallowed = random.next(in: 1..<8)
        swallowing = random.nextBool() ? .v4 : .v6
        self.random = random
        self.cancelledAfter = cancelledAfter
        machine = ConnectStateMachine(preferring: preferred)
        model = ConnectModel(preferring: preferred)
    }

    /// Runs to the end of the agenda, beyond the end of the connect. Returns the first difference, or nil.
    mutating func run() -> String? {
        add(.limit, at: 10_000)
        if let difference = begin() ?? cancelIfDue() { return difference }
        while let entry = agenda.min(by: { ($0.instant, $0.number) < ($1.instant, $1.number) }) {
            agenda.removeAll { $0.number == entry.number }
            now = entry.instant
            if let difference = perform(entry.happening) ?? cancelIfDue() { return "\(now) ms: \(difference)" }
        }
        return brokenAtEnd()
    }

    private mutating func begin() -> String? {
        if random.nextBool(probability: 0.3) {
            let addresses = list(nil)
            let doubtful = doubtfulCount(addresses)
            let effects = machine.begin(.addresses(addresses, recentlyFailed: doubtful), now: instant)
            return compare(effects, .began(addresses, recentlyFailed: doubtful))
        }
        for family in [IPAddress.Family.v4, .v6] {
            // Some look-ups never answer, and some answer in the same turn.
            guard !random.nextBool(probability: 0.1) else { continue }
            let instant = [0, 10, 40, 50, 60, 300, 3000][random.next(in: 0..<7)] + random.next(in: 0..<3)
            if random.nextBool(probability: 0.15) {
                add(.lookUpFails(family), at: instant)
            } else {
                let addresses = list(family)
                add(.answer(family, addresses, recentlyFailed: doubtfulCount(addresses)), at: instant)
            }
        }
        return compare(machine.begin(.lookUps, now: instant), .began(nil, recentlyFailed: 0))
    }

    private mutating func perform(_ happening: Happening) -> String? {
        switch happening {
        case .answer(let family, let addresses, let recentlyFailed):
            let effects = machine.addressesFound(family, addresses, recentlyFailed: recentlyFailed, now: instant)
            return compare(effects, .answered(family, addresses, recentlyFailed: recentlyFailed))
        case .lookUpFails(let family):
            let effects = machine.lookUpFailed(family, NameLookupError(.temporary), now: instant)
            return compare(effects, .answered(family, [], recentlyFailed: 0))
        case .connects(let attempt): return compare(machine.attemptConnected(attempt.id), .connected(attempt.address))
        case .fails(let attempt, let kind):
            if !isOver { failed.insert(attempt.id) }
            let effects = machine.attemptFailed(attempt.id, ConnectHarness.Refused(), kind, now: instant)
            return compare(effects, .failed(attempt.address))
        case .timer(let id):
            let isCurrent = timer.map { $0.id == id } ?? false
            if isCurrent { timer = nil }
            let effects = machine.timerFired(id, now: instant)
            guard isCurrent else { return isEmpty(effects) ? nil : "a late timer has an effect" }
            return compare(effects, .timerFired)
        case .limit: return cancel()
        }
    }

    private mutating func cancelIfDue() -> String? {
        defer { steps += 1 }
        return steps == cancelledAfter ? cancel() : nil
    }

    private mutating func cancel() -> String? {
        if !isOver { isCancelled = true }
        return compare(machine.cancel(), .cancelled)
    }

    /// Carries out the effects and compares them with the model. Returns the difference, or nil.
    private mutating func compare(_ effects: ConnectEffects, _ event: ConnectModel.Event) -> String? {
        if let since = heldByDelaySince, now - since > 250 { return "an open attempt costs \(now - since) ms" }
        let lastStart = model.lastStart
        let mayStartAtOnce = model.hasFailure || model.open.isEmpty || isFailure(event)
        let expected = model.expect(event, at: now)
        if let attempt = effects.connect {
            if !mayStartAtOnce, now < lastStart + 250 { return "an attempt starts after \(now - lastStart) ms" }
            if opened.contains(where: { $0.address == attempt.address }) { return "\(attempt.address) is tried again" }
            opened.append(attempt)
            script(attempt)
        }
        for attempt in effects.close where !closed.insert(attempt.id).inserted { return "closed twice" }
        apply(effects.timer)
        let seen = ConnectModel.Expectation(
            connect: effects.connect?.address, close: effects.close.map(\.address), timer: timer?.at,
            outcome: record(effects.outcome))
        if seen != expected { return "after \(event): \(seen), not \(expected)" }
        return broken()
    }

    private mutating func apply(_ change: ConnectEffects.TimerChange?) {
        switch change {
        case .set(let id, let instant):
            timer = (id, instant.milliseconds)
            add(.timer(id), at: instant.milliseconds)
        case .cancel: timer = nil
        case nil: break
        }
    }

    private mutating func record(_ outcome: ConnectEffects.Outcome?) -> ConnectModel.Outcome? {
        switch outcome {
        case .connected(let attempt):
            winners.append(attempt)
            return .connected(attempt.address)
        case .failed(let failure):
            failures.append(failure)
            return .failed
        case nil: return nil
        }
    }

    /// What must be true after every event.
    private mutating func broken() -> String? {
        if model.open.count > 8 { return "\(model.open.count) attempts are open" }
        if winners.count + failures.count > 1 { return "there are two outcomes" }
        if (machine.state == .over) != isOver { return "the machine is \(machine.state)" }
        if !isOver, model.open.isEmpty, model.isExhausted { return "nothing is left, and the connect goes on" }
        guard !isOver, model.hasUntried, (1..<8).contains(model.open.count) else {
            heldByDelaySince = nil
            return nil
        }
        heldByDelaySince = max(heldByDelaySince ?? now, model.lastStart)
        return nil
    }

    /// What must be true when nothing can happen any more.
    private func brokenAtEnd() -> String? {
        let won = Set(winners.map(\.id))
        if Set(opened.map(\.id)) != failed.union(closed).union(won) { return "an attempt is still open" }
        if !failed.isDisjoint(with: closed) || !won.isDisjoint(with: closed) { return "an attempt ended twice" }
        if winners.count + failures.count + (isCancelled ? 1 : 0) != 1 { return "the connect has no end" }
        if let failure = failures.first {
            if failure.attemptCount != opened.count { return "\(failure.attemptCount) attempts failed" }
            if failure.attempts.count != min(8, opened.count) { return "\(failure.attempts.count) errors are kept" }
        }
        return nil
    }

    private var isOver: Bool { model.isOver }
    private var instant: MonotonicInstant { MonotonicInstant(milliseconds: now) }

    private mutating func add(_ happening: Happening, at instant: Int) {
        entriesMade += 1
        agenda.append(Entry(instant: instant, number: entriesMade, happening: happening))
    }

    /// Decides what becomes of an attempt.
    private mutating func script(_ attempt: ConnectStateMachine.Attempt) {
        let delay = random.next(in: 0..<400)
        switch network {
        case .silent: break
        case .refusing: add(.fails(attempt, .refused), at: now + delay % 6)
        case .instant where delay < 380: add(.fails(attempt, .other), at: now)
        case .instant: add(.connects(attempt), at: now)
        case .swallowsFirst: if attempt.id.value > swallowed { add(.connects(attempt), at: now + delay) }
        case .swallowsFamily: if attempt.address.family != swallowing { add(.connects(attempt), at: now + delay) }
        case .mixed:
            switch random.next(in: 0..<10) {
            case 0..<3: break
            case 3..<8: add(.fails(attempt, random.nextBool() ? .resources : .other), at: now + delay)
            default: add(.connects(attempt), at: now + delay)
            }
        }
    }

    /// Some addresses, with repetitions and with some of the other family. nil: of both families.
    private mutating func list(_ family: IPAddress.Family?) -> [IPAddress] {
        let isLong = random.nextBool(probability: 0.03)
        let share = family == .v4 ? 0.95 : family == .v6 ? 0.05 : 0.5
        var addresses: [IPAddress] = []
        for _ in 0..<(isLong ? 100 : random.next(in: 0..<5)) {
            let isIPv4 = random.nextBool(probability: share)
            addresses.append(.example(isIPv4 ? .v4 : .v6, number: UInt8(random.next(in: 0..<(isLong ? 250 : 6)))))
        }
        return addresses
    }

    private mutating func doubtfulCount(_ addresses: [IPAddress]) -> Int {
        random.nextBool(probability: 0.7) ? 0 : random.next(in: 0..<(addresses.count + 1))
    }

    private func isEmpty(_ effects: ConnectEffects) -> Bool {
        effects.connect == nil && effects.close.isEmpty && effects.timer == nil && effects.outcome == nil
    }

    private func isFailure(_ event: ConnectModel.Event) -> Bool {
        if case .failed = event { true } else { false }
    }
}
