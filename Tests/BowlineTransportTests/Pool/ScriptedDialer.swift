import BowlineCore
import Synchronization
import Testing

@testable import BowlineTransport

/// A signal that is set once and awaited by any number of tasks.
final class Signal<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var continuations: [CheckedContinuation<Value, Never>] = []
    }

    private let state = Guarded(State())

    var current: Value? { state.withLock { $0.value } }

    /// Returns false if it was set before.
    @discardableResult
    func set(_ value: Value) -> Bool {
        let waiting = state.withLock { state -> [CheckedContinuation<Value, Never>]? in
            guard state.value == nil else { return nil }
            state.value = value
            defer { state.continuations = [] }
            return state.continuations
        }
        for continuation in waiting ?? [] { continuation.resume(returning: value) }
        return waiting != nil
    }

    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let value = state.withLock { state -> Value? in
                    if state.value == nil { state.continuations.append(continuation) }
                    return state.value
                }
                if let value { continuation.resume(returning: value) }
            }
        }
    }
}

/// A connection that rejects illegal actions of a pool: a second lease, a lease when closed, a second close.
final class ScriptedConnection: PoolTestConnection {
    let id: ConnectionID
    let affinity: Int
    let closed = Signal<CloseReason>()
    let probed = Signal<Bool>()
    let isMultiplexed: Bool
    let capacity: Int
    private let isInUse = Atomic<Bool>(false)

    /// - Parameter streams: How many it carries at once; nil: it has none.
    init(_ id: ConnectionID, affinity: Int, streams: Int? = nil) {
        self.id = id
        self.affinity = affinity
        isMultiplexed = streams != nil
        capacity = streams ?? 1
    }

    func retire(_ reason: CloseReason, leases: Int) {}

    func probe() {
        if !probed.set(true) { Issue.record("connection \(id) probed twice") }
    }

    /// The number of leases that ended before their users got them.
    let unusedLeases = Atomic<Int>(0)

    func leaseUnused() {
        unusedLeases.add(1, ordering: .relaxed)
    }

    func close(_ reason: CloseReason) {
        if !closed.set(reason) { Issue.record("connection \(id) closed twice") }
    }

    func beginUse() {
        if isInUse.exchange(true, ordering: .acquiringAndReleasing) { Issue.record("connection \(id) leased twice") }
    }

    func endUse() {
        if !isInUse.exchange(false, ordering: .acquiringAndReleasing) {
            Issue.record("connection \(id) was not in use")
        }
    }
}

extension Lease {
    /// The connection as the dialer made it.
    var scripted: ScriptedConnection {
        get throws { try #require(connection as? ScriptedConnection) }
    }
}

/// A dialer whose dials end at once, or when the test ends them.
final class ScriptedDialer: ConnectionDialer {

    enum Mode {
        case byHand
        case succeedAtOnce
        case failAtOnce
        case failForResources
    }

    private struct State {
        var mode = Mode.byHand
        var streams: Int?
        var names = 0
        var started: [ConnectionID] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
        weak var pool: ConnectionPool?
    }

    let firstCancelled = Signal<ConnectionID>()
    private let state = Guarded(State())

    init(_ mode: Mode = .byHand) {
        state.withLock { $0.mode = mode }
    }

    var started: [ConnectionID] { state.withLock { $0.started } }

    func nextConnectionID() -> ConnectionID {
        state.withLock { state in
            state.names += 1
            return ConnectionID(state.names)
        }
    }

    func dial(_ id: ConnectionID, affinity: Int?) {
        let (mode, streams, pool, waiters) = state.withLock { state in
            state.started.append(id)
            let due = state.waiters.filter { $0.count <= state.started.count }
            state.waiters.removeAll { $0.count <= state.started.count }
            return (state.mode, state.streams, state.pool, due)
        }
        for waiter in waiters { waiter.continuation.resume() }
        switch mode {
        case .byHand: break
        case .succeedAtOnce:
            pool?.connectionEstablished(ScriptedConnection(id, affinity: affinity ?? 0, streams: streams))
        case .failAtOnce: pool?.connectionFailed(id, error: ScriptedDialError(number: id.value))
        case .failForResources:
            pool?.connectionFailed(id, error: ScriptedDialError(number: id.value), cause: .resources)
        }
    }

    func cancelDial(_ id: ConnectionID) {
        firstCancelled.set(id)
    }

    func setMode(_ mode: Mode) {
        state.withLock { $0.mode = mode }
    }

    func setStreams(_ streams: Int?) {
        state.withLock { $0.streams = streams }
    }

    /// Returns once the `count`th dial has been started, with its name.
    func dials(_ count: Int) async -> ConnectionID {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.started.count >= count { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isOver { continuation.resume() }
        }
        return started[count - 1]
    }

    func makePool(
        _ clock: ManualClock,
        configure: (inout PoolConfiguration) -> Void = { _ in },
        idleCountChanged: @escaping @Sendable (Int) -> Void = { _ in },
        connectionRemoved: @escaping @Sendable (ConnectionID, CloseReason) -> Void = { _, _ in }
    ) -> ConnectionPool {
        var configuration = PoolConfiguration()
        configure(&configuration)
        let pool = ConnectionPool(
            configuration: configuration,
            dialer: self,
            clock: clock,
            random: { 0.5 },
            idleCountChanged: idleCountChanged,
            connectionRemoved: connectionRemoved
        )
        state.withLock { $0.pool = pool }
        return pool
    }
}
