import BowlineCore
import Testing

@Suite("A table of waiting tasks")
struct WaiterTableTests {
    @Test("tasks get the value that their continuations are resumed with, each by its number")
    func values() async throws {
        let gate = Gate()
        async let first = gate.wait()
        let firstNumber = await gate.nextStored()
        async let second = gate.wait()
        let secondNumber = await gate.nextStored()

        gate.remove(secondNumber)?.resume(returning: 2)
        #expect(try await second == 2)
        #expect(gate.contains(firstNumber))
        gate.remove(firstNumber)?.resume(returning: 1)
        #expect(try await first == 1)
        #expect(gate.remove(firstNumber) == nil)
    }

    @Test("All continuations are removed in the order of their numbers")
    func order() async throws {
        let gate = Gate()
        var tasks: [Task<Int, any Error>] = []
        for _ in 0..<20 {
            tasks.append(Task { try await gate.wait() })
            _ = await gate.nextStored()
        }
        for (index, waiter) in gate.removeAll().enumerated() { waiter.resume(returning: index) }
        for (index, task) in tasks.enumerated() { #expect(try await task.value == index) }
        #expect(gate.removeAll().isEmpty)
    }

    @Test("A cancelled task gets a CancellationError, and its continuation leaves the table")
    func cancellation() async {
        let gate = Gate()
        let task = Task { try await gate.wait() }
        let number = await gate.nextStored()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(!gate.contains(number))
        #expect(gate.remove(number) == nil)
    }

    @Test("a task that was cancelled before it waits stores nothing")
    func cancelledBefore() async {
        let gate = Gate()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await gate.wait()
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(gate.remove(1) == nil)
    }

    @Test("An event before the wait is the wait's result, also for a cancelled task")
    func eventBefore() async throws {
        let gate = Gate()
        gate.open(with: 7)
        #expect(try await gate.wait() == 7)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await gate.wait()
        }
        #expect(try await task.value == 7)
    }

    @Test("200 waits that are cancelled and resumed in the same instant all end, each once")
    func races() async {
        for _ in 0..<200 {
            let gate = Gate()
            let task = Task { try await gate.wait() }
            _ = await gate.nextStored()
            async let opened: Void = gate.open(with: 3)
            async let cancelled: Void = task.cancel()
            _ = await (opened, cancelled)
            switch await task.result {
            case .success(let value): #expect(value == 3)
            case .failure(let error): #expect(error is CancellationError)
            }
        }
    }
}

/// An owner of a table: its waiters get the value that it is opened with.
private final class Gate: Sendable {
    private struct State {
        var value: Int?
        var waiters = WaiterTable<Int>()
    }

    private let state = Guarded(State())
    private let stored: AsyncStream<Int>
    private let storedInput: AsyncStream<Int>.Continuation

    init() {
        (stored, storedInput) = AsyncStream.makeStream()
    }

    func wait() async throws -> Int {
        let number = state.withLock { $0.waiters.makeNumber() }
        defer { state.synchronize() }
        return try await withCancellableContinuation { continuation in
            let result = state.withLock { state -> Result<Int, any Error>? in
                if let value = state.value { return .success(value) }
                return state.waiters.store(continuation, as: number)
            }
            if result == nil { storedInput.yield(number) }
            return result
        } onCancel: {
            remove(number)?.resume(throwing: CancellationError())
        }
    }

    /// Waits until a task has stored its continuation. Returns the number.
    func nextStored() async -> Int {
        for await number in stored { return number }
        return 0
    }

    func open(with value: Int) {
        let waiters = state.withLock { state in
            state.value = value
            return state.waiters.removeAll()
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    func removeAll() -> [WaiterTable<Int>.Continuation] {
        state.withLock { $0.waiters.removeAll() }
    }

    func remove(_ number: Int) -> WaiterTable<Int>.Continuation? {
        state.withLock { $0.waiters.remove(number) }
    }

    func contains(_ number: Int) -> Bool {
        state.withLock { $0.waiters.contains(number) }
    }
}
