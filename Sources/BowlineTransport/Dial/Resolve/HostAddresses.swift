internal import BowlineCore

/// Lists the addresses of origins' hosts, for a balancer that chooses one of them for each attempt.
///
/// The answers come from the ``AddressCache``, as those of dials do. ``HostAddressesStateMachine`` keeps the lists.
final class HostAddresses: Sendable {
    private struct State: ~Copyable {
        var machine = HostAddressesStateMachine()
    }

    private let cache: AddressCache
    private let clock: any ServiceClock
    /// The families of the addresses. Only one if the client connects from an address of its own choice.
    private let families: [IPAddress.Family]
    /// The limit of a look-up that no request waits for: `timeouts.connect`.
    private let limit: Duration?
    private let state = Guarded(State())

    /// - Parameters:
    ///   - family: The only family to which the client connects; nil: both.
    ///   - limit: `timeouts.connect`.
    init(cache: AddressCache, clock: any ServiceClock, only family: IPAddress.Family?, limit: Duration?) {
        self.cache = cache
        self.clock = clock
        families = family.map { [$0] } ?? [.v6, .v4]
        self.limit = limit
    }

    /// Returns the addresses that are known now; nil: ``lookUp(_:before:)`` is necessary, unless the host means this
    /// machine. If the addresses are out of date, begins a look-up.
    func known(_ origin: Origin, now: MonotonicInstant) -> [IPAddress]? {
        switch state.withLock({ $0.machine.known(origin, now: now) }) {
        case .use(let addresses): return addresses
        case .absent: return kept(origin, now: now)
        case .renew(let addresses):
            if let kept = kept(origin, now: now) { return kept }
            renew(origin, addresses)
            return addresses
        }
    }

    /// Looks up the addresses of an origin of which none are known.
    ///
    /// Asks for both families at the same time. If one family has addresses, waits for the other one at most as long as
    /// a dial does (RFC 8305 §3), and the later answer counts for later requests.
    ///
    /// - Parameter limit: When to give up; nil: no limit.
    /// - Throws: ``ConnectFailure`` if there is no address; `DialFailure.timedOut` at the limit; `CancellationError`
    ///   when the task is cancelled.
    func lookUp(_ origin: Origin, before limit: MonotonicInstant?) async throws -> [IPAddress] {
        let answers = try await HostLookUp(origin.host, families, cache: cache, clock: clock).run(
            before: limit, waitsForAll: false)
        if answers.areCutOff, !answers.hasAddresses { throw DialFailure.timedOut }
        let addresses = try answers.addresses(previous: [])
        keep(origin, addresses)
        return addresses
    }

    /// Records that a dial to one of the origin's addresses failed. The host may have other addresses by now, so the
    /// resolver is asked again soon.
    func dialFailed(_ origin: Origin, now: MonotonicInstant) {
        cache.expire(origin.host)
        state.withLock { $0.machine.dialFailed(origin, now: now) }
    }

    /// Looks the addresses up again, while requests use the old ones. A family that gets no answer keeps its addresses.
    private func renew(_ origin: Origin, _ previous: [IPAddress]) {
        let end = limit.map { clock.now.advanced(by: $0) }
        // Detached: the task-local values of a request are not the resolver's business.
        Task.detachedInheriting { [self] in
            let lookUp = HostLookUp(origin.host, families, cache: cache, clock: clock)
            do {
                let answers = try await lookUp.run(before: end, waitsForAll: true)
                keep(origin, try answers.addresses(previous: previous))
            } catch {
                state.withLock { $0.machine.gone(origin) }
            }
        }
    }

    /// Stores a list that has just been found.
    private func keep(_ origin: Origin, _ addresses: [IPAddress]) {
        let now = clock.now
        let freshUntil = answers(origin.host, now: now)?.freshUntil
        state.withLock { $0.machine.found(origin, addresses, freshUntil: freshUntil, now: now) }
    }

    /// Makes and stores the list from the answers that the cache keeps; nil: one of the answers is missing, or there is
    /// no address.
    private func kept(_ origin: Origin, now: MonotonicInstant) -> [IPAddress]? {
        guard let (answers, freshUntil) = answers(origin.host, now: now),
            let addresses = try? answers.addresses(previous: [])
        else { return nil }
        state.withLock { $0.machine.found(origin, addresses, freshUntil: freshUntil, now: now) }
        return addresses
    }

    /// Returns the answers that the cache keeps for all families, and until when they are valid.
    private func answers(
        _ host: String, now: MonotonicInstant
    ) -> (answers: HostLookUp.Answers, freshUntil: MonotonicInstant)? {
        var answers = HostLookUp.Answers()
        var freshUntil = MonotonicInstant.distantFuture
        for family in families {
            guard let kept = cache.kept(host, family, now: now) else { return nil }
            answers[family] = .success(kept.addresses)
            freshUntil = min(freshUntil, kept.freshUntil)
        }
        return (answers, freshUntil)
    }
}
