internal import BowlineCore
internal import Synchronization

/// The scripts and responders of a server, and the tasks that run them.
final class ServerScripts: Sendable {
    typealias Responder = @Sendable (RecordedRequest) async throws -> ScriptedReply
    typealias EarlyResponder = @Sendable (RecordedRequest) async throws -> ScriptedReply?
    typealias ConnectionScript = @Sendable (LoopbackConnection) async throws -> Void

    private struct Route: Sendable {
        let method: HTTPRequest.Method
        let path: PathPattern
        let responder: Responder

        func matches(_ request: RecordedRequest) -> Bool {
            method == request.method && path.matches(request.path)
        }
    }

    private struct State: Sendable {
        var connectionScript: ConnectionScript?
        var responder: Responder?
        var earlyResponder: EarlyResponder?
        /// Routes without a placeholder first, then the others. Each group is in the order in which its routes were
        /// added.
        var routes: [Route] = []
        var tasks: [Int: Task<Void, Never>] = [:]
        var nextTask = 0
        var isStopped = false
    }

    private let state = Guarded(State())

    var connectionScript: ConnectionScript? {
        get { state.withLock { $0.connectionScript } }
        set { state.withLock { $0.connectionScript = newValue } }
    }

    func respond(with responder: @escaping Responder) {
        state.withLock { $0.responder = responder }
    }

    func respondEarly(with responder: @escaping EarlyResponder) {
        state.withLock { $0.earlyResponder = responder }
    }

    /// Whether an early responder is set.
    var answersEarly: Bool { state.withLock { $0.earlyResponder != nil } }

    /// The reply to a request whose body has not been read yet; nil: no early reply.
    func earlyReply(to request: RecordedRequest) async throws -> ScriptedReply? {
        guard let responder = state.withLock({ $0.earlyResponder }) else { return nil }
        return try await responder(request)
    }

    func route(_ method: HTTPRequest.Method, _ path: String, to responder: @escaping Responder) {
        let route = Route(method: method, path: PathPattern(path), responder: responder)
        state.withLock { state in
            state.routes.removeAll { $0.method == route.method && $0.path == route.path }
            let index = route.path.isLiteral ? state.routes.firstIndex { !$0.path.isLiteral } : nil
            state.routes.insert(route, at: index ?? state.routes.endIndex)
        }
    }

    func reply(to request: RecordedRequest) async throws -> ScriptedReply {
        let responder = state.withLock { state in
            state.routes.first { $0.matches(request) }?.responder ?? state.responder
        }
        guard let responder else {
            return .reply(404, body: "no route for \(request.method) \(request.path)")
        }
        return try await responder(request)
    }

    /// Runs the script of a connection until the server stops.
    func run(_ script: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            let number = state.nextTask
            state.nextTask += 1
            // The task takes this lock when it ends, so its entry is removed after the line below has added it.
            let task = Task { [weak self] in
                await script()
                self?.finished(number)
            }
            state.tasks[number] = task
            if state.isStopped { task.cancel() }
        }
    }

    private func finished(_ number: Int) {
        _ = state.withLock { $0.tasks.removeValue(forKey: number) }
    }

    /// Cancels all scripts.
    ///
    /// - Returns: the tasks, so that the caller can wait for them.
    func stop() -> [Task<Void, Never>] {
        state.withLock { state in
            state.isStopped = true
            for task in state.tasks.values { task.cancel() }
            return Array(state.tasks.values)
        }
    }

    /// Releases the connection script, the responders and the routes. They are closures of the user and may keep a
    /// reference to the server.
    func forget() {
        let forgotten = state.withLock { state -> State in
            let all = state
            state.connectionScript = nil
            state.responder = nil
            state.earlyResponder = nil
            state.routes = []
            return all
        }
        // Release the closures here, without the lock: what they keep may call this object when it is deallocated.
        withExtendedLifetime(forgotten) {}
    }

    /// Returns a responder that gives these replies in order, then repeats the last one.
    static func inOrder(_ replies: [ScriptedReply]) -> Responder {
        let next = Atomic(0)
        return { _ in
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            return replies.isEmpty ? .reply(500, body: "no replies") : replies[min(index, replies.count - 1)]
        }
    }
}
