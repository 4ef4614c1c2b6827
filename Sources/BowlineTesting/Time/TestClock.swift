public import BowlineCore

/// A clock that moves only when a test moves it.
///
/// ```swift
/// let clock = TestClock()
/// async let result = retrying(on: clock)      // sleeps before its second attempt
/// try await clock.waitForSleepers(count: 1)   // it sleeps now
/// clock.advanceToNextDeadline()
/// ```
/// It may be read and moved from any thread. For real time, use `MonotonicClock`.
public final class TestClock: ServiceClock {
    private struct Sleeper: Sendable {
        let token: Token
        let deadline: MonotonicInstant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State: Sendable {
        var now: MonotonicInstant
        /// Ordered by deadline; sleepers with the same deadline are in the order of their arrival.
        var sleepers: [Sleeper] = []
    }

    private final class Token: Sendable {}

    private let state: Waitable<State>

    /// Makes a clock at the instant `start`.
    public init(start: MonotonicInstant = MonotonicInstant(nanoseconds: 0)) {
        state = Waitable(State(now: start))
    }

    public var now: MonotonicInstant { state.withLock { $0.now } }

    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The number of tasks that sleep now.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// The earliest deadline of a sleeping task; nil if no task sleeps.
    public var nextDeadline: MonotonicInstant? { state.withLock { $0.sleepers.first?.deadline } }

    /// Suspends the task until a test has moved the clock to `deadline` or past it. Returns at once if the deadline has
    /// passed.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    public func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        let token = Token()
        try await withCancellableContinuation { continuation in
            state.withLock { state -> Result<Void, any Error>? in
                if Task.isCancelled { return .failure(CancellationError()) }
                if deadline <= state.now { return .success(()) }
                let place = state.sleepers.firstIndex { $0.deadline > deadline } ?? state.sleepers.endIndex
                let sleeper = Sleeper(token: token, deadline: deadline, continuation: continuation)
                state.sleepers.insert(sleeper, at: place)
                return nil
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.token === token }) else { return nil }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Moves the clock forward and resumes the sleepers whose deadlines have passed, in the order of their deadlines.
    ///
    /// - Parameter duration: How far to move the clock; zero or less does nothing.
    public func advance(by duration: Duration) {
        move { $0.advanced(by: max(duration, .zero)) }
    }

    /// Moves the clock to an instant and resumes the sleepers whose deadlines have passed. An instant in the past does
    /// nothing.
    public func advance(to instant: MonotonicInstant) {
        move { max($0, instant) }
    }

    /// Moves the clock to the earliest deadline of a sleeping task, and resumes the sleepers whose deadlines have
    /// passed.
    ///
    /// - Returns: the new time; nil if no task sleeps.
    @discardableResult
    public func advanceToNextDeadline() -> MonotonicInstant? {
        let (woken, now) = state.withLock { state -> ([Sleeper], MonotonicInstant?) in
            guard let deadline = state.sleepers.first?.deadline else { return ([], nil) }
            return (Self.move(&state, to: deadline), deadline)
        }
        for sleeper in woken { sleeper.continuation.resume() }
        return now
    }

    /// Waits until at least `count` tasks sleep.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout` on the machine's clock; `CancellationError` when the task is
    ///   cancelled.
    public func waitForSleepers(
        count: Int = 1, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await state.wait(
            for: "\(count) sleepers", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.sleepers.count)" }, until: { $0.sleepers.count >= count }
        )
    }

    private func move(_ target: (MonotonicInstant) -> MonotonicInstant) {
        let woken = state.withLock { state in Self.move(&state, to: target(state.now)) }
        for sleeper in woken { sleeper.continuation.resume() }
    }

    private static func move(_ state: inout State, to instant: MonotonicInstant) -> [Sleeper] {
        state.now = max(state.now, instant)
        let count = state.sleepers.prefix { $0.deadline <= state.now }.count
        let woken = Array(state.sleepers.prefix(count))
        state.sleepers.removeFirst(count)
        return woken
    }
}
