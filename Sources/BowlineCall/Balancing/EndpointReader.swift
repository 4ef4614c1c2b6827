internal import BowlineCore

/// Reads a sequence of endpoint lists in a task of its own. Ends when it is stopped or released.
final class EndpointReader: Sendable {
    /// Another client reads the sequence.
    struct AlreadyRead: Error {}

    /// The lists that the sequence gave.
    enum Reading: Sendable {
        case list([ServiceEndpoint])
        case ended
        case failed(any Error)
    }

    private enum State {
        case ready
        case reading(Task<Void, Never>)
        case stopped
    }

    private let state = Guarded(State.ready)

    init() {}

    deinit {
        stop()
    }

    /// Begins to read. Does nothing if it was stopped. Call it once.
    ///
    /// - Parameter deliver: Called with each list, and with the end of the sequence. Not called after ``stop()``.
    func start(_ updates: EndpointUpdates, _ deliver: @escaping @Sendable (Reading) -> Void) {
        guard updates.claim() else { return deliver(.failed(AlreadyRead())) }
        state.withLock { state in
            guard case .ready = state else { return }
            let give = { @Sendable [weak self] (reading: Reading) in
                guard let self, !isStopped else { return }
                deliver(reading)
            }
            state = .reading(
                Task.detachedInheriting {
                    do {
                        try await updates.read { give(.list($0)) }
                        give(.ended)
                    } catch {
                        give(.failed(error))
                    }
                })
        }
    }

    /// Cancels the task that reads.
    func stop() {
        let task = state.withLock { state -> Task<Void, Never>? in
            defer { state = .stopped }
            if case .reading(let task) = state { return task }
            return nil
        }
        task?.cancel()
    }

    private var isStopped: Bool {
        state.withLock { if case .stopped = $0 { true } else { false } }
    }
}
