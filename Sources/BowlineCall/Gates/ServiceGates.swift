package import BowlineCore

/// The gates of a client, by scope: they decide when each attempt goes. Derived clients share them.
///
/// The machines of a scope are in ``ScopeGates``. This class holds the locks, and carries out what the machines decide:
/// it ends the waits of attempts and asks the stores of tokens. Each scope belongs to one of several tables with a lock
/// each. An admission and the end of an attempt each take this lock once, for a transition.
package final class ServiceGates: Sendable {
    /// How many scopes are kept that are not in use.
    package static let maximumScopes = 1024
    /// The number of tables; a power of two.
    private static let tables = 8

    // Not an array: reading an element of an array of classes counts a reference.
    // Safety: allocated with the gates and freed with them; each element has its own lock.
    nonisolated(unsafe) private let tables: UnsafeMutablePointer<Guarded<ScopeTable>>
    let clock: any ServiceClock
    private let reader: ClockReader
    private let metrics: ClientMetrics?

    package init(clock: any ServiceClock, metrics: ClientMetrics? = nil) {
        self.clock = clock
        reader = ClockReader(clock)
        self.metrics = metrics
        tables = .allocate(capacity: Self.tables)
        for index in 0..<Self.tables {
            (tables + index).initialize(to: Guarded(ScopeTable(maximum: Self.maximumScopes / Self.tables)))
        }
    }

    deinit {
        tables.deinitialize(count: Self.tables)
        tables.deallocate()
    }

    var now: MonotonicInstant { reader.now }

    private func table(of scope: PolicyScope) -> UnsafeMutablePointer<Guarded<ScopeTable>> {
        // Most scopes have no name. The hash of their origin is known.
        let hash = scope.name == nil ? scope.origin.storedHash : scope.hashValue
        return tables + (hash & (Self.tables - 1))
    }

    // MARK: Attempts

    /// An attempt comes to the gates.
    func enter(
        _ visit: inout GateVisit, _ settings: GateSettings, at now: MonotonicInstant, _ observers: CallObservers
    ) -> GateStep {
        var effects = GateEffects()
        let step = table(of: visit.scope).pointee.withLock { scopes in
            scopes.gates(of: visit.scope, at: now).enter(&visit, at: now, settings, &effects)
        }
        apply(effects, visit.scope, settings, at: now, observers)
        return step
    }

    /// The wait of an attempt has ended.
    ///
    /// - Parameter wasQueued: Whether the attempt waited in a queue, not for an instant.
    func goOn(
        _ visit: inout GateVisit, after end: GateWaitEnd, wasQueued: Bool, _ settings: GateSettings,
        at now: MonotonicInstant, _ observers: CallObservers
    ) -> GateStep {
        var effects = GateEffects()
        let step = table(of: visit.scope).pointee.withLock { scopes in
            let gates = scopes.gates(of: visit.scope, at: now)
            return wasQueued
                ? gates.turnEnded(&visit, end, at: now, settings, &effects)
                : gates.woke(&visit, end, at: now, settings, &effects)
        }
        apply(effects, visit.scope, settings, at: now, observers)
        return step
    }

    /// An admitted attempt has ended.
    func left(
        _ pass: GatePass, _ report: GateReport, _ settings: GateSettings, at now: MonotonicInstant, random: Double,
        _ observers: CallObservers
    ) {
        var effects = GateEffects()
        let gates = pass.gates
        table(of: gates.scope).pointee.withLock { _ in
            gates.left(pass, report, at: now, random: random, settings, &effects)
        }
        apply(effects, gates.scope, settings, at: now, observers)
    }

    /// An admitted attempt is not sent.
    func abandoned(
        _ pass: GatePass, _ visit: inout GateVisit, _ settings: GateSettings, at now: MonotonicInstant,
        _ observers: CallObservers
    ) {
        var effects = GateEffects()
        let gates = pass.gates
        table(of: gates.scope).pointee.withLock { _ in
            gates.abandoned(pass, &visit, at: now, settings, &effects)
        }
        apply(effects, gates.scope, settings, at: now, observers)
    }

    // MARK: By hand

    /// Opens the breaker of a scope until ``reset(_:_:)``.
    package func isolate(_ scope: PolicyScope, _ observers: CallObservers) {
        let now = self.now
        let transition = table(of: scope).pointee.withLock { $0.gates(of: scope, at: now).isolate(at: now) }
        report(transition, of: scope, at: now, observers)
    }

    /// Closes the breaker of a scope, and opens its rate gate: its bucket is full, and attempts that wait for their turns
    /// get new ones.
    package func reset(_ scope: PolicyScope, _ observers: CallObservers) {
        let now = self.now
        var effects = GateEffects()
        table(of: scope).pointee.withLock { $0[scope]?.reset(at: now, &effects) }
        guard let content = effects.content else { return }
        report(content.transition, of: scope, at: now, observers)
        for turn in content.turns { turn.end(.success(())) }
    }

    // MARK: State

    package func snapshot() -> ResilienceSnapshot {
        let now = self.now
        var scopes: [ScopeSnapshot] = []
        for index in 0..<Self.tables {
            scopes += tables[index].withLock { scopes in
                var found: [ScopeSnapshot] = []
                scopes.forEach { found.append($0.snapshot(at: now)) }
                return found
            }
        }
        return ResilienceSnapshot(scopes: scopes.sorted { $0.scope.description < $1.scope.description })
    }

    // MARK: Effects

    @inline(__always)
    private func apply(
        _ effects: GateEffects, _ scope: PolicyScope, _ settings: GateSettings, at now: MonotonicInstant,
        _ observers: CallObservers
    ) {
        if let content = effects.content { apply(content, scope, settings, at: now, observers) }
    }

    @inline(never)
    private func apply(
        _ effects: GateEffects.Content, _ scope: PolicyScope, _ settings: GateSettings, at now: MonotonicInstant,
        _ observers: CallObservers
    ) {
        if let supply = settings.supply {
            if let ask = effects.ask { self.ask(supply, ask, scope, settings, observers) }
            if let timer = effects.timer { wait(for: timer, scope, supply, settings, observers) }
        }
        if let limit = effects.limit { metrics?.limitChanged(to: limit, of: scope) }
        if let transition = effects.transition { report(transition, of: scope, at: now, observers) }
        // The attempts that go on now come last, because they run at once.
        for turn in effects.turns { turn.end(.success(())) }
    }

    private func report(
        _ transition: BreakerTransition?, of scope: PolicyScope, at now: MonotonicInstant, _ observers: CallObservers
    ) {
        guard let transition else { return }
        observers.breakerChanged(
            BreakerChange(
                scope: scope, from: transition.from, to: transition.to, openFor: transition.openFor, instant: now))
    }

    // MARK: The store of tokens

    /// Asks the store in a task of its own: the tokens are for all attempts of the scope, so the question must not end
    /// with the call that caused it, nor have its deadline and other task-local values. The answer has a time limit.
    private func ask(
        _ supply: GateSettings.Supply, _ ask: TokenSupplyStateMachine.Ask, _ scope: PolicyScope,
        _ settings: GateSettings, _ observers: CallObservers
    ) {
        Task.detachedInheriting {
            let question = SharedWork<RateLimitGrant>()
            question.start { try await supply.store.take(ask.count, of: scope, limit: supply.limit) }
            let limit = self.clock.now.advanced(by: TokenSupplyStateMachine.patience)
            var grant: RateLimitGrant?
            do {
                grant = try await question.value(until: limit, clock: self.clock, call: CallRecord(clock: self.clock))
            } catch {
                question.cancel()
            }
            self.storeAnswered(ask, grant, scope, supply, settings, observers)
        }
    }

    private func storeAnswered(
        _ ask: TokenSupplyStateMachine.Ask, _ grant: RateLimitGrant?, _ scope: PolicyScope,
        _ supply: GateSettings.Supply, _ settings: GateSettings, _ observers: CallObservers
    ) {
        let now = self.now
        var effects = GateEffects()
        table(of: scope).pointee.withLock { scopes in
            scopes[scope]?.storeAnswered(ask.number, grant, at: now, supply.limit, &effects)
        }
        apply(effects, scope, settings, at: now, observers)
    }

    private func wait(
        for timer: TokenSupplyStateMachine.Timer, _ scope: PolicyScope, _ supply: GateSettings.Supply,
        _ settings: GateSettings, _ observers: CallObservers
    ) {
        Task.detachedInheriting {
            try? await self.clock.sleep(until: timer.ends, tolerance: nil)
            let now = self.now
            var effects = GateEffects()
            self.table(of: scope).pointee.withLock { scopes in
                scopes[scope]?.storeTimerFired(timer.number, at: now, supply.limit, &effects)
            }
            self.apply(effects, scope, settings, at: now, observers)
        }
    }
}
