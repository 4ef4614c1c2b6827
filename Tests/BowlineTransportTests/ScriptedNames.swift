import BowlineCore

@testable import BowlineTransport

/// A resolver of a user: its calls wait until the test sets the answers.
final class ScriptedNames: ServiceResolver {
    typealias Answer = Result<ResolvedAddresses, any Error>

    private struct State {
        var answers: [NameQuery: Answer] = [:]
        var calls: [NameQuery] = []
        var cancelled: [NameQuery] = []
        var waiters = WaiterTable<ResolvedAddresses>()
        var waiting: [Int: NameQuery] = [:]
    }

    private let state = Guarded(State())
    /// Whether a call that is cancelled goes on.
    private let ignoresCancellation: Bool

    init(ignoresCancellation: Bool = false) {
        self.ignoresCancellation = ignoresCancellation
    }

    var calls: [NameQuery] { state.withLock { $0.calls } }
    var cancelled: [NameQuery] { state.withLock { $0.cancelled } }

    func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
        let query = NameQuery(host, family)
        let number = state.withLock { $0.waiters.makeNumber() }
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            state.withLock { state -> Answer? in
                state.calls.append(query)
                if let answer = state.answers[query] { return answer }
                state.waiting[number] = query
                return state.waiters.store(continuation, as: number)
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<ResolvedAddresses, any Error>? in
                state.cancelled.append(query)
                return ignoresCancellation ? nil : state.waiters.remove(number)
            }
            waiter?.resume(throwing: CancellationError())
        }
    }

    /// Answers the waiting calls of this query and all later ones.
    func answer(_ query: NameQuery, _ answer: Answer) {
        let waiters = state.withLock { state in
            state.answers[query] = answer
            let numbers = state.waiting.filter { $0.value == query }.map(\.key).sorted()
            for number in numbers { state.waiting[number] = nil }
            return numbers.compactMap { state.waiters.remove($0) }
        }
        for waiter in waiters { waiter.resume(with: answer) }
    }

    func answer(_ query: NameQuery, _ addresses: [String], validFor: Duration? = nil) {
        answer(query, .success(ResolvedAddresses(addresses.compactMap { IPAddress($0) }, validFor: validFor)))
    }

    /// The next calls of this query wait again.
    func hold(_ query: NameQuery) {
        state.withLock { $0.answers[query] = nil }
    }
}
