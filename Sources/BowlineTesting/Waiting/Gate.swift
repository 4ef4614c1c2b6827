/// A latch that a test opens and scripts wait at: the way to put events of a test in order without sleeping.
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

    private let state: Watched<State>

    /// Makes a gate, closed unless said otherwise.
    public init(isOpen: Bool = false) {
        state = Watched(State(isOpen: isOpen))
    }

    /// Whether those who come pass at once.
    public var isOpen: Bool { state.withLock { $0.isOpen } }

    /// How many wait at the gate now.
    public var waitingCount: Int { state.withLock { $0.waiting } }

    /// Lets everyone pass, those who wait and those who still come.
    public func open() {
        state.withLock { $0.isOpen = true }
    }

    /// Makes those who come from now on wait.
    public func close() {
        state.withLock { $0.isOpen = false }
    }

    /// Waits until the gate is open.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public func wait() async throws {
        state.withLock { $0.waiting += 1 }
        defer { state.withLock { $0.waiting -= 1 } }
        try await state.wait { $0.isOpen ? () : nil }
    }

    /// Waits until at least `count` wait at the gate, or it is open.
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
