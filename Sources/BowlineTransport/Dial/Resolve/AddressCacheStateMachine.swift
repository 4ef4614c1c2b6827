internal import BowlineCore

/// Keeps the resolver's answers, and decides when a look-up starts and when it is cancelled. There is one answer and at
/// most one look-up per query (a name and a family).
///
/// An answer is *fresh* until its validity ends, and then *stale* for `staleness`. Dials get a fresh answer without a
/// look-up. They get a stale answer only if a look-up fails. After `noSuchHost` the query is *denied* for
/// `usualValidity`: it counts as an empty answer while the other family of the host has fresh addresses, because then
/// the name exists. (For a name that is in `/etc/hosts` with one family only, the system reports `noSuchHost` for the
/// other.) Otherwise a denied query counts as *absent*, as a query without an answer does.
///
/// The transitions of an answer, while the other family of the host has fresh addresses:
///
/// | answer | input | result | next |
/// |---|---|---|---|
/// | absent | cached | nothing | absent |
/// | absent | resolved | addresses | fresh |
/// | absent | noSuchHost | error | denied |
/// | absent | failed | error | absent |
/// | absent | expire | nothing | absent |
/// | absent | validityEnded | nothing | absent |
/// | absent | stalenessEnded | nothing | absent |
/// | fresh | cached | addresses | fresh |
/// | fresh | expire | nothing | stale |
/// | fresh | validityEnded | nothing | stale |
/// | fresh | stalenessEnded | nothing | absent |
/// | stale | cached | nothing | stale |
/// | stale | resolved | addresses | fresh |
/// | stale | noSuchHost | error | denied |
/// | stale | failed | addresses | stale |
/// | stale | expire | nothing | stale |
/// | stale | validityEnded | nothing | stale |
/// | stale | stalenessEnded | nothing | absent |
/// | denied | cached | empty | denied |
/// | denied | resolved | addresses | fresh |
/// | denied | noSuchHost | error | denied |
/// | denied | failed | error | denied |
/// | denied | expire | nothing | absent |
/// | denied | validityEnded | nothing | absent |
/// | denied | stalenessEnded | nothing | absent |
///
/// No look-up of a query runs while its answer is fresh. The transitions of a look-up, while the answer is absent:
///
/// | look-up | input | result | next |
/// |---|---|---|---|
/// | none | wanted | start | running |
/// | none | left | nothing | none |
/// | none | ended | nobody | none |
/// | running | wanted | wait | running |
/// | running | wantedLate | restart | running |
/// | running | left | nothing | running |
/// | running | lastLeft | cancel | none |
/// | running | ended | waiters | none |
///
/// *wantedLate*: the look-up has run for `longestLookUp`. The resolver has perhaps lost the question, so a new look-up
/// gets the waiters.
///
/// The end of a look-up that was cancelled or replaced changes nothing. Of more than `maximumAnswers` answers, the machine
/// drops the least recently used.
struct AddressCacheStateMachine<Waiter: Sendable>: ~Copyable {
    struct Limits {
        /// How many answers are kept. An empty answer and a denial count, too.
        var maximumAnswers = 1000
        /// The validity of an answer whose resolver does not say it, and of a denial.
        var usualValidity = Duration.seconds(30)
        /// How long an answer is kept after its validity.
        var staleness = Duration.seconds(3600)
        /// How long a look-up may run before the next dial that wants its answer replaces it.
        var longestLookUp = AddressCache.longestLookUp
    }

    typealias WaiterID = LookUpWaiterID

    struct LookUpID: Hashable, Sendable {
        fileprivate let value: Int
    }

    /// The caller's next action for a dial that wants addresses.
    enum Wanted: Equatable, Sendable {
        /// The addresses are known.
        case found([IPAddress])
        /// The waiter waits for the look-up of an earlier waiter.
        case wait
        /// The waiter waits. Call the resolver, and then `lookUpEnded`.
        case start(LookUpID)
        /// As `start`. Cancel the other look-up: its waiters wait for the new one.
        case restart(LookUpID, insteadOf: LookUpID)
    }

    struct Forgotten: Sendable {
        /// The waiter; nil: it already had its answer.
        var waiter: Waiter?
        /// The look-up to cancel, because this was its last waiter.
        var cancelled: LookUpID?
    }

    struct Ended: Sendable {
        /// The waiters for the result, the oldest first.
        var waiters: [Waiter] = []
        var result: Result<[IPAddress], NameLookupError>
    }

    enum AnswerState: String, Sendable {
        case absent, fresh, stale, denied
    }

    private struct Answer {
        /// nil: the resolver said that there is no such host.
        var addresses: [IPAddress]?
        var freshUntil: MonotonicInstant
        var staleUntil: MonotonicInstant
        var lastUse: Int
    }

    private struct LookUp {
        let id: LookUpID
        let began: MonotonicInstant
        var waiters: [WaiterID: Waiter] = [:]
    }

    private let limits: Limits
    private var answers: [NameQuery: Answer] = [:]
    private var lookUps: [NameQuery: LookUp] = [:]
    private var uses = 0
    private var waitersMade = 0
    private var lookUpsMade = 0

    var answerCount: Int { answers.count }
    var lookUpCount: Int { lookUps.count }
    var waiterCount: Int { lookUps.values.reduce(0) { $0 + $1.waiters.count } }

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Draws an id for a new waiter.
    mutating func nextWaiterID() -> WaiterID {
        waitersMade += 1
        return WaiterID(value: waitersMade)
    }

    /// Returns the addresses that a dial may use without a look-up; nil: a look-up is necessary.
    mutating func cached(_ query: NameQuery, now: MonotonicInstant) -> [IPAddress]? {
        switch state(of: query, now: now) {
        case .fresh:
            use(query)
            return answers[query]?.addresses
        case .denied:
            use(query)
            return []
        case .absent, .stale: return nil
        }
    }

    /// Returns what `cached` returns, and until when; nil: a look-up is necessary.
    mutating func kept(_ query: NameQuery, now: MonotonicInstant) -> KeptAnswer? {
        guard let addresses = cached(query, now: now), let answer = answers[query] else { return nil }
        return KeptAnswer(addresses: addresses, freshUntil: answer.freshUntil)
    }

    /// Records that a dial wants the addresses of `query`.
    mutating func wanted(
        _ query: NameQuery, by waiter: Waiter, _ id: WaiterID, now: MonotonicInstant
    ) -> Wanted {
        if let addresses = cached(query, now: now) { return .found(addresses) }
        let running = lookUps[query]
        if let running, running.began.duration(to: now) < limits.longestLookUp {
            lookUps[query]?.waiters[id] = waiter
            return .wait
        }
        lookUpsMade += 1
        let lookUp = LookUpID(value: lookUpsMade)
        lookUps[query] = LookUp(id: lookUp, began: now, waiters: running?.waiters ?? [:])
        lookUps[query]?.waiters[id] = waiter
        return running.map { .restart(lookUp, insteadOf: $0.id) } ?? .start(lookUp)
    }

    /// Records that a dial no longer wants the addresses of `query`.
    mutating func forgotten(_ query: NameQuery, _ id: WaiterID) -> Forgotten {
        guard let waiter = lookUps[query]?.waiters.removeValue(forKey: id), let lookUp = lookUps[query] else {
            return Forgotten()
        }
        guard lookUp.waiters.isEmpty else { return Forgotten(waiter: waiter) }
        lookUps[query] = nil
        return Forgotten(waiter: waiter, cancelled: lookUp.id)
    }

    /// Whether the look-up runs: it has not ended and is not cancelled.
    func isRunning(_ id: LookUpID, of query: NameQuery) -> Bool {
        lookUps[query]?.id == id
    }

    /// Records what the resolver has answered. Returns the waiters and what they get.
    mutating func lookUpEnded(
        _ query: NameQuery, _ id: LookUpID, _ answer: Result<ResolvedAddresses, NameLookupError>, now: MonotonicInstant
    ) -> Ended {
        guard let lookUp = lookUps[query], lookUp.id == id else {
            return Ended(result: answer.map(\.addresses))
        }
        lookUps[query] = nil
        let waiters = lookUp.waiters.sorted { $0.key < $1.key }.map(\.value)
        return Ended(waiters: waiters, result: keep(answer, of: query, now: now))
    }

    /// Makes the answers for `host` stale: none of its addresses could be used.
    mutating func expire(_ host: String, now: MonotonicInstant) {
        for query in [NameQuery(host, .v4), NameQuery(host, .v6)] {
            guard let answer = answers[query], now < answer.freshUntil else { continue }
            answers[query]?.freshUntil = now
            answers[query]?.staleUntil = now.advanced(by: limits.staleness)
            if answer.addresses == nil { answers[query] = nil }
        }
    }

    func state(of query: NameQuery, now: MonotonicInstant) -> AnswerState {
        guard let answer = answers[query] else { return .absent }
        guard answer.addresses != nil else {
            return now < answer.freshUntil && hasFreshAddresses(query.otherFamily, now: now) ? .denied : .absent
        }
        return now < answer.freshUntil ? .fresh : now < answer.staleUntil ? .stale : .absent
    }

    private func hasFreshAddresses(_ query: NameQuery, now: MonotonicInstant) -> Bool {
        guard let answer = answers[query], let addresses = answer.addresses else { return false }
        return now < answer.freshUntil && !addresses.isEmpty
    }

    private mutating func keep(
        _ answer: Result<ResolvedAddresses, NameLookupError>, of query: NameQuery, now: MonotonicInstant
    ) -> Result<[IPAddress], NameLookupError> {
        switch answer {
        case .success(let resolved):
            let addresses = resolved.addresses.filter { $0.family == query.family }
            store(addresses, for: query, validFor: resolved.validFor ?? limits.usualValidity, now: now)
            return .success(addresses)
        case .failure(let error) where error.reason == .noSuchHost:
            store(nil, for: query, validFor: limits.usualValidity, now: now)
            return .failure(error)
        case .failure(let error):
            guard state(of: query, now: now) == .stale, let addresses = answers[query]?.addresses else {
                return .failure(error)
            }
            use(query)
            return .success(addresses)
        }
    }

    private mutating func store(
        _ addresses: [IPAddress]?, for query: NameQuery, validFor: Duration, now: MonotonicInstant
    ) {
        let freshUntil = now.advanced(by: max(validFor, .zero))
        answers[query] = Answer(
            addresses: addresses, freshUntil: freshUntil, staleUntil: freshUntil.advanced(by: limits.staleness),
            lastUse: 0)
        use(query)
        guard answers.count > limits.maximumAnswers else { return }
        // Slow, but only a client of very many hosts comes here, and only after a look-up.
        if let oldest = answers.min(by: { $0.value.lastUse < $1.value.lastUse }) { answers[oldest.key] = nil }
    }

    private mutating func use(_ query: NameQuery) {
        uses += 1
        answers[query]?.lastUse = uses
    }
}

/// An answer that ``AddressCacheStateMachine`` keeps and that is fresh or denied.
struct KeptAnswer: Sendable, Equatable {
    /// Empty: the host has no address of the family.
    let addresses: [IPAddress]
    /// The end of the answer's validity.
    let freshUntil: MonotonicInstant
}
