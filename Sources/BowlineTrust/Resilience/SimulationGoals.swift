internal import Bowline

/// What the simulation must show. A goal holds if the median over all seeds is within its limit.
struct SimulationGoal {
    let scenario: String
    let client: SimulatedClient
    /// What is measured, and the limit, for the report.
    let text: String
    let measure: (SimulatedFigures) -> Double
    let holds: (Double) -> Bool

    private static func atMost(
        _ limit: Double, _ scenario: String, _ client: SimulatedClient, _ what: String,
        _ measure: @escaping (SimulatedFigures) -> Double
    ) -> SimulationGoal {
        SimulationGoal(
            scenario: scenario, client: client, text: "\(what): at most \(limit)", measure: measure,
            holds: { $0 <= limit })
    }

    private static func atLeast(
        _ limit: Double, _ scenario: String, _ client: SimulatedClient, _ what: String,
        _ measure: @escaping (SimulatedFigures) -> Double
    ) -> SimulationGoal {
        SimulationGoal(
            scenario: scenario, client: client, text: "\(what): at least \(limit)", measure: measure,
            holds: { $0 >= limit })
    }

    private static func recovery(_ figures: SimulatedFigures) -> Double {
        figures.recovery.map { $0.inMilliseconds / 1000 } ?? .infinity
    }

    /// Requests beyond 1.2 for each call, per second. The budget's floor is 10 retries per second.
    private static func beyondBudget(_ figures: SimulatedFigures) -> Double {
        let seconds = Double(figures.tenths.count) / 10
        return (figures.requestsPerCall - 1.2) * Double(figures.calls) / seconds
    }

    /// - Parameter healthy: The median p99 of five healthy replicas, with the same kind of client.
    static func all(healthy: Double) -> [SimulationGoal] {
        [
            atMost(1, "outage", .defaults, "seconds until 99 % of calls succeed again", recovery),
            atMost(10, "outage", .defaults, "requests per second beyond 1.2 for each call", beyondBudget),
            atMost(10, "outage", .standard, "requests per second beyond 1.2 for each call", beyondBudget),
            atLeast(0.9, "overload", .standard, "good answers as a share of the capacity", \.goodputInFault),
            atLeast(0.9, "overload", .everything, "good answers as a share of the capacity", \.goodputInFault),
            atMost(0.6, "overload", .naiveRetries, "good answers as a share of the capacity", \.goodputInFault),
            atMost(1.3, "slow-replica", .everything, "p99 relative to five healthy replicas") { $0.p99 / healthy },
            atMost(0.01, "failing-replica", .everything, "failed calls as a share") {
                Double($0.failed) / Double(max($0.calls, 1))
            },
            // Each tier may add a fifth and its ten retries per second; one request in three tiers costs 27 without limits.
            atMost(
                3.5, "amplification", .defaults, "requests for each call during the fault", \.requestsPerCallInFault),
            atLeast(
                10, "amplification", .naiveRetries, "requests for each call during the fault",
                \.requestsPerCallInFault),
            atMost(0.2, "herd", .standard, "requests for each call during the fault", \.requestsPerCallInFault),
        ]
    }
}
