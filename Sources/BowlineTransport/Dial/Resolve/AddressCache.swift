internal import BowlineCore

/// Finds the addresses of host names for dials: from the answers that it keeps, or with the client's resolver.
///
/// Each client has one. ``AddressCacheStateMachine`` decides which answers are kept and for how long. All dials that
/// need one answer share one call of the resolver. The call runs in a task of its own, which is cancelled when the last
/// of these dials leaves, or when it has taken too long and another dial comes. `localhost` and names that end in
/// `.localhost` mean this machine, and the resolver is not asked for them (RFC 6761 §6.3).
final class AddressCache: Sendable {
    private typealias Machine = AddressCacheStateMachine<CheckedContinuation<[IPAddress], any Error>>

    private struct State: ~Copyable {
        var machine: Machine
        var tasks: [Machine.LookUpID: Task<Void, Never>] = [:]
        /// Whether the client is closed: no look-up starts any more.
        var isClosed = false

        /// Removes a waiter. Returns it, and the task to cancel if it was the last waiter.
        mutating func forget(
            _ query: NameQuery, _ id: Machine.WaiterID
        ) -> (waiter: CheckedContinuation<[IPAddress], any Error>?, task: Task<Void, Never>?) {
            let forgotten = machine.forgotten(query, id)
            return (forgotten.waiter, forgotten.cancelled.flatMap { tasks.removeValue(forKey: $0) })
        }
    }

    /// How long a look-up goes on that no dial waits for.
    private static let afterlife = Duration.seconds(1)
    /// How long a call of the resolver may run before another dial replaces it, if dials may not take longer. A resolver
    /// that is only slow answers within this time.
    static let longestLookUp = Duration.seconds(30)

    private let resolver: any ServiceResolver
    private let clock: any ServiceClock
    private let state: Guarded<State>

    /// - Parameter longestLookUp: How long a call of the resolver may run before the next dial makes another one.
    init(
        resolver: any ServiceResolver, clock: any ServiceClock,
        longestLookUp: Duration = AddressCache.longestLookUp
    ) {
        self.resolver = resolver
        self.clock = clock
        state = Guarded(State(machine: Machine(limits: Machine.Limits(longestLookUp: longestLookUp))))
    }

    /// Returns the addresses that a dial may use at once; nil: call ``resolve(_:_:)``. Empty: the host has no address
    /// of this family.
    func cached(_ host: String, _ family: IPAddress.Family) -> [IPAddress]? {
        if let own = Self.ownAddresses(host, family) { return own }
        let now = clock.now
        return state.withLock { $0.machine.cached(NameQuery(host, family), now: now) }
    }

    /// Returns the answer that the cache keeps for a host that is not this machine; nil: call ``resolve(_:_:)``.
    func kept(_ host: String, _ family: IPAddress.Family, now: MonotonicInstant) -> KeptAnswer? {
        state.withLock { $0.machine.kept(NameQuery(host, family), now: now) }
    }

    /// Returns the addresses of `host` that belong to `family`. Calls the resolver, unless the answer is known. If the
    /// task is cancelled, the call ends at once.
    ///
    /// - Throws: ``NameLookupError``, and no older answer can be used; `CancellationError` when the task is cancelled.
    func resolve(_ host: String, _ family: IPAddress.Family) async throws -> [IPAddress] {
        if let own = Self.ownAddresses(host, family) { return own }
        let query = NameQuery(host, family)
        let now = clock.now
        let id = state.withLock { $0.machine.nextWaiterID() }
        // For the thread sanitizer: the runtime does not tell it when a continuation is resumed before the task awaits
        // it.
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            let (wanted, replaced) = state.withLock { state -> (Machine.Wanted?, Task<Void, Never>?) in
                guard !Task.isCancelled, !state.isClosed else { return (nil, nil) }
                let wanted = state.machine.wanted(query, by: continuation, id, now: now)
                guard case .restart(_, let replaced) = wanted else { return (wanted, nil) }
                return (wanted, state.tasks.removeValue(forKey: replaced))
            }
            replaced?.cancel()
            switch wanted {
            case .found(let addresses): return .success(addresses)
            case .wait: return nil
            case .start(let lookUp), .restart(let lookUp, insteadOf: _):
                start(lookUp, query)
                return nil
            case nil: return .failure(CancellationError())
            }
        } onCancel: {
            let (waiter, task) = state.withLock { $0.forget(query, id) }
            task?.cancel()
            waiter?.resume(throwing: CancellationError())
        }
    }

    /// Lets look-ups go on for a short time that no dial waits for any more, so that their answers are kept for later
    /// dials. A look-up that takes longer probably hangs: it is cancelled, so that it takes no other look-up's place.
    ///
    /// - Parameter lookUps: Tasks that run ``resolve(_:_:)``.
    func endSoon(_ lookUps: [Task<Void, Never>]) {
        let limit = clock.now.advanced(by: Self.afterlife)
        let timer = Task.detachedInheriting { [clock] in
            guard (try? await clock.sleep(until: limit, tolerance: nil)) != nil else { return }
            for lookUp in lookUps { lookUp.cancel() }
        }
        Task.detachedInheriting {
            for lookUp in lookUps { await lookUp.value }
            timer.cancel()
        }
    }

    /// Makes the answers for `host` stale, because none of its addresses could be used. The next dial calls the
    /// resolver. It gets the old answer only if the resolver fails.
    func expire(_ host: String) {
        let now = clock.now
        state.withLock { $0.machine.expire(host, now: now) }
    }

    /// Cancels all look-ups, because the client is closed. Dials that wait for them fail, and no look-up starts later.
    func cancelAll() {
        let tasks = state.withLock { state in
            defer { state.tasks = [:] }
            state.isClosed = true
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
    }

    /// The current numbers of look-ups and of waiters, for tests.
    var counts: (lookUps: Int, waiters: Int) {
        state.withLock { ($0.machine.lookUpCount, $0.machine.waiterCount) }
    }

    private func start(_ lookUp: Machine.LookUpID, _ query: NameQuery) {
        // Detached: the task-local values of a request are not the resolver's business.
        let task = Task.detachedInheriting { await self.run(lookUp, query) }
        let isRunning = state.withLock { state in
            let isRunning = !state.isClosed && state.machine.isRunning(lookUp, of: query)
            if isRunning { state.tasks[lookUp] = task }
            return isRunning
        }
        // Before the task was stored, the look-up ended, its last waiter left, or the client was closed.
        if !isRunning { task.cancel() }
    }

    private func run(_ lookUp: Machine.LookUpID, _ query: NameQuery) async {
        let answer: Result<ResolvedAddresses, NameLookupError>
        do {
            answer = .success(try await resolver.resolve(query.host, query.family))
        } catch let error as NameLookupError {
            answer = .failure(error)
        } catch {
            answer = .failure(NameLookupError(.other, "\(error)"))
        }
        let now = clock.now
        let ended = state.withLock { state in
            state.tasks[lookUp] = nil
            return state.machine.lookUpEnded(query, lookUp, answer, now: now)
        }
        let result = ended.result.mapError { $0 as any Error }
        for waiter in ended.waiters { waiter.resume(with: result) }
    }

    private static let ownV4 = [IPAddress(v4: 0x7F00_0001)]
    private static let ownV6 = [IPAddress(v6High: 0, low: 1)]

    /// Whether the name means this machine: `localhost`, or a name below it (RFC 6761 §6.3).
    static func isThisMachine(_ host: String) -> Bool {
        let name = host.utf8.last == UInt8(ascii: ".") ? host.dropLast() : Substring(host)
        return name == "localhost" || name.hasSuffix(".localhost")
    }

    private static func ownAddresses(_ host: String, _ family: IPAddress.Family) -> [IPAddress]? {
        guard isThisMachine(host) else { return nil }
        return family == .v4 ? ownV4 : ownV6
    }
}
