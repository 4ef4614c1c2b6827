internal import Bowline
internal import BowlineTesting

/// Runs the whole client of one plan on virtual time: callers, client, transport, network and peers on one thread. The
/// same plan gives the same run.
struct SimulationRun: Sendable {
    /// How far the clock may go. A call that never ends ends the run there.
    static let longest = Duration.seconds(7_200)

    let plan: SimulationPlan

    init(_ plan: SimulationPlan) {
        self.plan = plan
    }

    /// Runs the plan.
    ///
    /// - Throws: ``VirtualTimeFailure`` if a call never ends; the errors of making the client.
    func run() async throws -> SimulationRecord {
        let plan = plan
        let order: VirtualTime.JobOrder = plan.isShuffled ? .shuffled : .arrival
        return try await withVirtualTime(seed: plan.seed, order: order, limit: Self.longest) { time in
            let world = SimulationWorld(time, plan)
            var record = try await world.withClient { client, caller in
                await withTaskGroup(of: Void.self) { group in
                    for call in plan.calls { group.addTask { await caller.make(call) } }
                    if let planned = plan.shutdown { group.addTask { await world.shutDown(client, planned) } }
                }
            }
            // The client and its transport are released now.
            try await world.addRemains(to: &record)
            return record
        }
    }
}
