import BowlineCore
import BowlineTesting

/// A store of tokens that a test controls.
final class ScriptedStore: RateLimitStore {
    struct Away: Error {}

    enum Behaviour: Sendable {
        /// Gives what is wanted.
        case gives
        /// Gives at most this many tokens in all, and then none, with this pause.
        case gives(atMost: Int, retryAfter: Duration)
        case fails
        /// Answers when the gate is opened.
        case hangs(Gate)
    }

    private struct State: Sendable {
        var behaviour = Behaviour.gives
        var given = 0
        var questions: [Int] = []
        var scopes: Set<PolicyScope> = []
        var limits: Set<RateLimit> = []
    }

    private let state = Guarded(State())

    var behaviour: Behaviour {
        get { state.withLock { $0.behaviour } }
        set { state.withLock { $0.behaviour = newValue } }
    }

    /// How many tokens each question wanted.
    var questions: [Int] { state.withLock { $0.questions } }
    var given: Int { state.withLock { $0.given } }
    var scopes: Set<PolicyScope> { state.withLock { $0.scopes } }
    var limits: Set<RateLimit> { state.withLock { $0.limits } }

    func take(_ count: Int, of scope: PolicyScope, limit: RateLimit) async throws -> RateLimitGrant {
        let behaviour = state.withLock { state in
            state.questions.append(count)
            state.scopes.insert(scope)
            state.limits.insert(limit)
            return state.behaviour
        }
        switch behaviour {
        case .gives: return give(count)
        case .gives(let most, let retryAfter):
            let granted = min(count, most)
            state.withLock { $0.behaviour = .gives(atMost: most - granted, retryAfter: retryAfter) }
            return give(granted, retryAfter)
        case .fails: throw Away()
        case .hangs(let gate):
            try await gate.wait()
            return give(count)
        }
    }

    private func give(_ count: Int, _ retryAfter: Duration = .zero) -> RateLimitGrant {
        state.withLock { $0.given += count }
        return RateLimitGrant(count: count, retryAfter: retryAfter)
    }
}
