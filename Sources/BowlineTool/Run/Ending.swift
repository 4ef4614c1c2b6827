internal import Bowline

/// The client's shutdown. It begins once: by a signal, by `--shutdown-after` or after the last request. A second signal
/// cuts off the requests in flight.
final class Ending: Sendable {
    private struct State {
        var shutdown: Task<ShutdownReport, Never>?
        /// The workers' pauses, which end when the shutdown begins.
        var pauses: [Int: Task<Void, Never>] = [:]
        var pausesMade = 0
        var signals = 0
    }

    private let state = Guarded(State())
    private let client: ServiceClient
    private let drain: Duration

    init(client: ServiceClient, drain: Duration) {
        self.client = client
        self.drain = drain
    }

    /// The effect that a signal has on the run.
    enum Demand: Equatable {
        case begin, force
        /// A third signal ends the process at once, without the report.
        case leave
    }

    /// Counts a signal and does what it asks for: the first begins the shutdown, the second cuts off the requests in
    /// flight.
    func signalled() -> Demand {
        let number = state.withLock { state in
            state.signals += 1
            return state.signals
        }
        switch number {
        case 1:
            begin()
            return .begin
        case 2:
            force()
            return .force
        default: return .leave
        }
    }

    /// Whether the shutdown has begun.
    var hasBegun: Bool { state.withLock { $0.shutdown != nil } }

    /// Begins the shutdown unless it has begun.
    func begin() {
        _ = shutdownTask()
    }

    /// Cuts off the requests in flight.
    func force() {
        shutdownTask().cancel()
    }

    /// Begins the shutdown unless it has begun, and waits for its end.
    func finish() async -> ShutdownReport {
        await shutdownTask().value
    }

    /// Waits for `duration`, or until the shutdown has begun. In the second case the client refuses new requests when
    /// this returns.
    func pause(for duration: Duration) async {
        guard duration > .zero else { return }
        await sleep(for: duration)
        guard hasBegun else { return }
        // The shutdown's task may not have run yet.
        for await progress in client.shutdownProgress where progress.state != .running { return }
    }

    private func sleep(for duration: Duration) async {
        let number: Int? = state.withLock { state in
            guard state.shutdown == nil else { return nil }
            state.pausesMade += 1
            return state.pausesMade
        }
        guard let number else { return }
        let pause = Task { (try? await Task.sleep(for: duration)) ?? () }
        let hasBegun = state.withLock { state in
            state.pauses[number] = pause
            return state.shutdown != nil
        }
        if hasBegun { pause.cancel() }
        await pause.value
        state.withLock { _ = $0.pauses.removeValue(forKey: number) }
    }

    private func shutdownTask() -> Task<ShutdownReport, Never> {
        let (task, pauses) = state.withLock { state in
            if let task = state.shutdown { return (task, [Task<Void, Never>]()) }
            let task = Task { [client, drain] in await client.shutdown(within: drain) }
            state.shutdown = task
            return (task, Array(state.pauses.values))
        }
        for pause in pauses { pause.cancel() }
        return task
    }
}
