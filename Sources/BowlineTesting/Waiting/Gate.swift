/// A latch that a test opens and that scripts wait at. It puts the events of a test in order without sleeping.
///
/// ```swift
/// let gate = Gate()
/// server.respond { _ in .reply(200).held(by: gate) }
/// async let response = client.get("slow")
/// try await server.waitForRequests(count: 1)
/// gate.open()
/// ```
public final class Gate: Sendable {
    private struct State: Sendable {
        var isOpen: Bool
        var waiting = 0
    }

    private let state: Waitable<State>

    /// Makes a gate. It is closed by default.
    public init(isOpen: Bool = false) {
        state = Waitable(State(isOpen: isOpen))
    }

    /// Whether the gate is open, so that ``wait()`` returns at once.
    public var isOpen: Bool { state.withLock { $0.isOpen } }

    /// The number of tasks that wait at the gate now.
    public var waitingCount: Int { state.withLock { $0.waiting } }

    /// Opens the gate. Waiting tasks continue, and later tasks do not wait.
    public func open() {
        state.withLock { $0.isOpen = true }
    }

    /// Closes the gate. Tasks that call ``wait()`` from now on wait.
    public func close() {
        state.withLock { $0.isOpen = false }
    }

    /// Waits until the gate is open.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public func wait() async throws {
        state.withLock { $0.waiting += 1 }
        defer { state.withLock { $0.waiting -= 1 } }
        let loop = VirtualTimeLoop.current
        let wait = loop?.waitBegan("a gate that is closed")
        defer { if let wait { loop?.waitEnded(wait) } }
        try await state.wait { $0.isOpen ? () : nil }
    }

    /// Waits until at least `count` tasks wait at the gate, or the gate is open.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForWaiters(
        count: Int = 1, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await state.wait(
            for: "\(count) waiting at a gate", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.waiting)" }, until: { $0.waiting >= count || $0.isOpen }
        )
    }
}
