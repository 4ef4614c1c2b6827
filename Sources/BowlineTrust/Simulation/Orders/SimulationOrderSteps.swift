internal import Bowline
internal import BowlineTesting
internal import BowlineTransport

/// Performs one order of events, and describes the state after it.
// Safety: used on the simulation's thread only.
final class SimulationOrderSteps: @unchecked Sendable {
    /// The time after each event in which the client reacts. Longer than its waits before retries, and much shorter
    /// than the time between deadlines.
    private static let reaction = Duration.milliseconds(50)
    private static let calls = 0..<3

    private let world: SimulationWorld
    private let setup: SimulationOrders.Setup
    private var isShutDown = false
    /// The state after the last event.
    private(set) var fingerprint = ""
    /// The events that may follow.
    private(set) var events: [SimulationOrders.Event] = []

    init(_ world: SimulationWorld, _ setup: SimulationOrders.Setup) {
        self.world = world
        self.setup = setup
    }

    /// Begins the calls, performs the events, and waits until all calls have ended.
    func perform(
        _ path: [SimulationOrders.Event], _ client: ServiceClient, _ caller: SimulationCaller
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for call in world.plan.calls { group.addTask { await caller.make(call) } }
            try await react()
            for event in path {
                if event == .shutdown {
                    isShutDown = true
                    let planned = SimulationPlan.Shutdown(at: world.time.elapsed, limit: .seconds(3))
                    group.addTask { await self.world.shutDown(client, planned) }
                } else {
                    try await perform(event, caller)
                }
                try await react()
            }
            describe(caller)
            try await group.waitForAll()
        }
    }

    private func react() async throws {
        try await world.time.sleep(for: Self.reaction)
    }

    private func perform(_ event: SimulationOrders.Event, _ caller: SimulationCaller) async throws {
        world.time.note("event: \(event)")
        switch event {
        case .done(let call): world.network.peers.perform { self.world.service.release(call) }
        case .close(let place):
            let open = world.network.openPeers
            guard open.indices.contains(place), let peer = world.network.peer(of: open[place]) else { return }
            world.network.peers.perform { [setup] in
                if setup.isReset { peer.closeWithReset() } else { peer.close(promise: nil) }
            }
        case .timeout:
            guard let deadline = nextDeadline(caller) else { return }
            try await world.time.sleep(until: deadline)
        case .cancel(let call): caller.cancel(call)
        case .shutdown: break
        }
    }

    private func isInFlight(_ number: Int, _ caller: SimulationCaller) -> Bool {
        caller.records.indices.contains(number) && caller.records[number].endings == 0
    }

    private func nextDeadline(_ caller: SimulationCaller) -> MonotonicInstant? {
        Self.calls.compactMap { number -> MonotonicInstant? in
            guard isInFlight(number, caller), let total = world.plan.calls[number].total else { return nil }
            return caller.records[number].began?.advanced(by: total)
        }.min()
    }

    private func describe(_ caller: SimulationCaller) {
        let held = world.service.held
        let open = world.network.openPeers
        var parts = Self.calls.map { number -> String in
            let record = caller.records[number]
            let told = record.told.map { "\($0)" } ?? (record.cancelled == nil ? "in flight" : "cancelled")
            return "\(told) \(world.service.arrivals[number]) \(world.service.executions[number])"
        }
        parts += open.map { connection in
            "connection "
                + held.filter { $0.connection == connection }.map { "\($0.call.number)" }.joined(separator: ",")
        }
        if let pools = world.transport?.snapshot() {
            parts.append("pool \([pools.idle, pools.active, pools.dialling, pools.waiting, pools.streams])")
        }
        let deadlines = Self.calls.filter { isInFlight($0, caller) }
        parts.append("\(isShutDown) \(deadlines)")
        fingerprint = parts.joined(separator: " | ")
        events = held.map { .done($0.call.number) } + open.indices.prefix(2).map { .close($0) }
        events += Self.calls.filter { isInFlight($0, caller) && caller.records[$0].cancelled == nil }.map {
            .cancel($0)
        }
        if nextDeadline(caller) != nil { events.append(.timeout) }
        if !isShutDown { events.append(.shutdown) }
    }
}
