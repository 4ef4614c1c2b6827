import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("Random events of an address cache")
struct AddressCacheWalkTests {
    @Test("For 100,000 random events the machine does what the model does")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        for round in 0..<500 {
            var walk = AddressCacheWalk(maximumAnswers: random.next(in: 1..<8))
            for step in 0..<200 {
                let difference = walk.step(&random)
                try #require(difference == nil, "round \(round), step \(step): \(difference ?? "")")
            }
        }
    }
}

/// The machine beside a model that keeps its answers in a list and searches it each time.
private struct AddressCacheWalk: ~Copyable {
    typealias Machine = AddressCacheStateMachine<String>

    private struct Answer {
        let query: NameQuery
        /// nil: there is no such host.
        let addresses: [IPAddress]?
        var freshUntil: MonotonicInstant
        var staleUntil: MonotonicInstant
    }

    private struct LookUp {
        let query: NameQuery
        let id: Machine.LookUpID
        let began: MonotonicInstant
        var waiters: [String]
    }

    private var machine: Machine
    private let maximumAnswers: Int
    private var now = MonotonicInstant(nanoseconds: 0)
    private var waiterIDs: [String: (query: NameQuery, id: Machine.WaiterID)] = [:]
    private var waitersMade = 0
    private var started: [(query: NameQuery, id: Machine.LookUpID)] = []

    // The model.
    /// The least recently used first.
    private var answers: [Answer] = []
    private var lookUps: [LookUp] = []

    init(maximumAnswers: Int) {
        self.maximumAnswers = maximumAnswers
        machine = Machine(limits: Machine.Limits(maximumAnswers: maximumAnswers))
    }

    /// Performs one event on the machine and the model. Returns the difference, or nil.
    mutating func step(_ random: inout SeededRandom) -> String? {
        let query = NameQuery("host\(random.next(in: 0..<4))", random.nextBool() ? .v4 : .v6)
        switch random.next(in: 0..<12) {
        case 0..<2:
            now = now.advanced(by: .seconds(random.next(in: 0..<20)))
        case 2 where random.nextBool(probability: 0.1):
            now = now.advanced(by: .seconds(random.next(in: 1800..<7200)))
        case 3:
            machine.expire(query.host, now: now)
            expire(query.host)
        case 4..<6:
            let (real, expected) = (machine.cached(query, now: now), cached(query))
            if real != expected { return "cached \(query): \(real as Any), not \(expected as Any)" }
        case 6 where !waiterIDs.isEmpty:
            let waiters = waiterIDs.keys.sorted()
            if let difference = forget(waiters[random.next(in: 0..<waiters.count)]) { return difference }
        case 7..<9 where !started.isEmpty:
            let lookUp = started[random.next(in: 0..<started.count)]
            if let difference = end(lookUp.query, lookUp.id, answer(&random)) { return difference }
        default:
            if let difference = want(query) { return difference }
        }
        return broken()
    }

    private func answer(_ random: inout SeededRandom) -> Result<ResolvedAddresses, NameLookupError> {
        switch random.next(in: 0..<5) {
        case 0: return .failure(NameLookupError(.noSuchHost))
        case 1: return .failure(NameLookupError(.temporary))
        default:
            let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"].compactMap { IPAddress($0) }
            let some = all.filter { _ in random.nextBool() }
            let seconds = random.next(in: -1..<60)
            return .success(ResolvedAddresses(some, validFor: random.nextBool() ? .seconds(seconds) : nil))
        }
    }

    private mutating func want(_ query: NameQuery) -> String? {
        waitersMade += 1
        let waiter = "\(waitersMade)"
        let id = machine.nextWaiterID()
        let wanted = machine.wanted(query, by: waiter, id, now: now)
        if let addresses = cached(query) {
            return wanted == .found(addresses) ? nil : "\(query): \(wanted) where the model knows the addresses"
        }
        waiterIDs[waiter] = (query, id)
        if let index = lookUps.firstIndex(where: { $0.query == query }) {
            let running = lookUps[index]
            guard running.began.duration(to: now) >= .seconds(30) else {
                lookUps[index].waiters.append(waiter)
                return wanted == .wait ? nil : "\(query): \(wanted) where the model waits"
            }
            guard case .restart(let lookUp, running.id) = wanted else {
                return "\(query): \(wanted) where the model replaces a look-up"
            }
            started.append((query, lookUp))
            lookUps[index] = LookUp(query: query, id: lookUp, began: now, waiters: running.waiters + [waiter])
            return nil
        }
        guard case .start(let lookUp) = wanted else { return "\(query): \(wanted) where the model starts a look-up" }
        if started.contains(where: { $0.id == lookUp }) { return "the id of a look-up is used again" }
        started.append((query, lookUp))
        lookUps.append(LookUp(query: query, id: lookUp, began: now, waiters: [waiter]))
        return nil
    }

    private mutating func forget(_ waiter: String) -> String? {
        guard let (query, id) = waiterIDs.removeValue(forKey: waiter) else { return nil }
        let forgotten = machine.forgotten(query, id)
        guard let index = lookUps.firstIndex(where: { $0.waiters.contains(waiter) }) else {
            let isNothing = forgotten.waiter == nil && forgotten.cancelled == nil
            return isNothing ? nil : "a waiter that had its answer is forgotten"
        }
        if forgotten.waiter != waiter { return "another waiter is forgotten" }
        lookUps[index].waiters.removeAll { $0 == waiter }
        let cancelled = lookUps[index].waiters.isEmpty ? lookUps.remove(at: index).id : nil
        return forgotten.cancelled == cancelled ? nil : "another look-up is cancelled"
    }

    private mutating func end(
        _ query: NameQuery, _ id: Machine.LookUpID, _ answer: Result<ResolvedAddresses, NameLookupError>
    ) -> String? {
        let ended = machine.lookUpEnded(query, id, answer, now: now)
        guard let index = lookUps.firstIndex(where: { $0.id == id }) else {
            return ended.waiters.isEmpty ? nil : "a look-up that is over has waiters"
        }
        let waiters = lookUps.remove(at: index).waiters
        if ended.waiters != waiters { return "\(ended.waiters) get the answer, not \(waiters)" }
        let expected = keep(answer, query)
        return ended.result == expected ? nil : "\(query): \(ended.result), not \(expected)"
    }

    private mutating func expire(_ host: String) {
        answers.removeAll { $0.query.host == host && $0.addresses == nil && now < $0.freshUntil }
        for index in answers.indices where answers[index].query.host == host && now < answers[index].freshUntil {
            answers[index].freshUntil = now
            answers[index].staleUntil = now.advanced(by: .seconds(3600))
        }
    }

    private mutating func cached(_ query: NameQuery) -> [IPAddress]? {
        guard let index = answers.firstIndex(where: { $0.query == query }), now < answers[index].freshUntil else {
            return nil
        }
        let isOtherKnown = answers.contains {
            $0.query.host == query.host && $0.query != query && now < $0.freshUntil && $0.addresses?.isEmpty == false
        }
        guard answers[index].addresses != nil || isOtherKnown else { return nil }
        answers.append(answers.remove(at: index))
        return answers.last?.addresses ?? []
    }

    private mutating func keep(
        _ answer: Result<ResolvedAddresses, NameLookupError>, _ query: NameQuery
    ) -> Result<[IPAddress], NameLookupError> {
        let index = answers.firstIndex { $0.query == query }
        var validFor = Duration.seconds(30)
        var addresses: [IPAddress]?
        switch answer {
        case .failure(let error) where error.reason != .noSuchHost:
            guard let index, let old = answers[index].addresses, now < answers[index].staleUntil else {
                return .failure(error)
            }
            answers.append(answers.remove(at: index))
            return .success(old)
        case .failure: break
        case .success(let resolved):
            addresses = resolved.addresses.filter { $0.family == query.family }
            validFor = max(.zero, resolved.validFor ?? validFor)
        }
        if let index { answers.remove(at: index) }
        let freshUntil = now.advanced(by: validFor)
        answers.append(
            Answer(
                query: query, addresses: addresses, freshUntil: freshUntil,
                staleUntil: freshUntil.advanced(by: .seconds(3600))))
        if answers.count > maximumAnswers { answers.removeFirst() }
        return answer.map { _ in addresses ?? [] }
    }

    private borrowing func broken() -> String? {
        if machine.answerCount != answers.count { return "\(machine.answerCount) answers, not \(answers.count)" }
        if machine.answerCount > maximumAnswers { return "too many answers" }
        if machine.lookUpCount != lookUps.count { return "\(machine.lookUpCount) look-ups, not \(lookUps.count)" }
        let waiters = lookUps.reduce(0) { $0 + $1.waiters.count }
        if machine.waiterCount != waiters { return "\(machine.waiterCount) waiters, not \(waiters)" }
        for lookUp in lookUps where !machine.isRunning(lookUp.id, of: lookUp.query) { return "a look-up does not run" }
        return nil
    }
}
