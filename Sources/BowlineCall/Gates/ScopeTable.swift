internal import BowlineCore

/// The gates of many scopes. Forgets scopes that have not been used for long.
///
/// Not thread-safe: ``ServiceGates`` holds a lock around every use.
struct ScopeTable: ~Copyable {
    /// A scope that has not been used for this time is forgotten when another scope is added.
    static let idleTime = Duration.seconds(600)

    private let maximum: Int
    private var scopes: [PolicyScope: ScopeGates] = [:]
    /// The gates that were used last. Never a forgotten scope's: scopes are forgotten only when another one is added,
    /// which is then the last one.
    private var latest: ScopeGates?
    /// The identity of the origin of ``latest``, which keeps this origin; nil: the scope has a name. Most attempts come
    /// from a client's base URL, and so have the same copy of the origin. A comparison costs less than a look-up, and
    /// this one does not count references.
    private var latestOrigin: ObjectIdentifier?

    /// - Parameter maximum: How many scopes are kept at most. Scopes in use are never forgotten, so there may be more
    ///   while more are in use.
    init(maximum: Int) {
        self.maximum = maximum
    }

    var count: Int { scopes.count }

    /// The gates of a scope; nil: the scope is not known.
    subscript(_ scope: PolicyScope) -> ScopeGates? { scopes[scope] }

    /// Returns the gates of a scope. Makes them if the scope is not known.
    mutating func gates(of scope: PolicyScope, at now: MonotonicInstant) -> ScopeGates {
        if scope.name == nil, latestOrigin == scope.origin.identity, let latest { return latest }
        let gates = scopes[scope] ?? added(scope, at: now)
        latest = gates
        latestOrigin = scope.name == nil ? gates.scope.origin.identity : nil
        return gates
    }

    private mutating func added(_ scope: PolicyScope, at now: MonotonicInstant) -> ScopeGates {
        forget(at: now)
        let gates = ScopeGates(scope, at: now)
        scopes[scope] = gates
        return gates
    }

    func forEach(_ body: (ScopeGates) -> Void) {
        for gates in scopes.values { body(gates) }
    }

    /// Forgets the scopes that have been idle for long. If the table is still full, forgets a quarter of it: first those
    /// that protect no service now, of these the ones that have not been used for longest. Many are forgotten at once,
    /// so that the search is rare.
    private mutating func forget(at now: MonotonicInstant) {
        guard scopes.count >= maximum / 4 else { return }
        let oldest = now.advanced(by: .zero - Self.idleTime)
        for (scope, gates) in scopes
        where gates.lastUsed <= oldest && !gates.isInUse && !gates.isGuarding(at: now) {
            scopes[scope] = nil
        }
        guard scopes.count >= maximum else { return }
        let cold = scopes.filter { !$0.value.isInUse }.map { scope, gates in
            (scope: scope, isGuarding: gates.isGuarding(at: now), lastUsed: gates.lastUsed)
        }
        let order = cold.sorted { one, other in
            one.isGuarding == other.isGuarding ? one.lastUsed < other.lastUsed : !one.isGuarding
        }
        for entry in order.prefix(max(maximum / 4, 1)) { scopes[entry.scope] = nil }
    }
}
