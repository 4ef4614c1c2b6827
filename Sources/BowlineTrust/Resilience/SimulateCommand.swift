internal import ArgumentParser
internal import Bowline
internal import BowlinePlatform

/// `bowline-trust simulate`: what retries and resilience policies do to a service that is slow, overloaded or down.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Simulates services that are slow, overloaded or down, with several kinds of clients.",
        discussion: """
            Runs in virtual time. Each figure is the median over the seeds. Exit status 1 if a goal is missed.
            """
    )

    @Option(help: "How many seeds, from 1 on.")
    var seeds = 20

    @Option(help: "Only the scenarios whose name contains this text.")
    var only: String?

    @Option(help: "A file for all figures and for the course of the run with seed 1, as JSON.")
    var json: String?

    func validate() throws {
        guard (1...10_000).contains(seeds) else { throw ValidationError("--seeds must be 1 to 10000") }
    }

    func run() async throws {
        var results: [SimulationResult] = []
        for scenario in SimulatedScenario.all where only.map({ scenario.name.contains($0) }) ?? true {
            print("\n\(scenario.name): \(scenario.summary)")
            let rows = try await Self.run(scenario, seeds: seeds)
            print(SimulationResult.table(rows))
            results += rows
        }
        if let json { try Self.write(results, to: json) }
        try check(results)
    }

    /// Runs a scenario with all kinds of clients and all seeds, on two threads.
    private static func run(_ scenario: SimulatedScenario, seeds: Int) async throws -> [SimulationResult] {
        var found: [SimulatedClient: [SimulatedFigures]] = [:]
        var jobs = SimulatedClient.allCases.flatMap { client in (1...seeds).map { (client, UInt64($0)) } }[...]
        try await withThrowingTaskGroup(of: (SimulatedClient, UInt64, SimulatedFigures).self) { group in
            func begin() {
                guard let (client, seed) = jobs.popFirst() else { return }
                group.addTask {
                    (client, seed, try await SimulatedRun(scenario: scenario, client: client, seed: seed).run())
                }
            }
            for _ in 0..<2 { begin() }
            var ordered: [SimulatedClient: [UInt64: SimulatedFigures]] = [:]
            while let (client, seed, figures) = try await group.next() {
                ordered[client, default: [:]][seed] = figures
                begin()
            }
            for (client, runs) in ordered { found[client] = runs.sorted { $0.key < $1.key }.map(\.value) }
        }
        return SimulatedClient.allCases.map {
            SimulationResult(scenario: scenario, client: $0, runs: found[$0] ?? [])
        }
    }

    private func check(_ results: [SimulationResult]) throws {
        func result(_ scenario: String, _ client: SimulatedClient) -> SimulationResult? {
            results.first { $0.scenario.name == scenario && $0.client == client }
        }
        let healthy = result("healthy-replicas", .everything)?.median(\.p99) ?? .nan
        var missed = 0
        print("")
        for goal in SimulationGoal.all(healthy: healthy) {
            guard let result = result(goal.scenario, goal.client) else { continue }
            let value = result.median(goal.measure)
            let holds = goal.holds(value)
            if !holds { missed += 1 }
            print(
                "\(holds ? "ok    " : "MISSED") \(goal.scenario), \(goal.client.rawValue): \(goal.text); \(value.short)"
            )
        }
        guard missed == 0 else {
            print("\(missed) goals are missed")
            throw ExitCode(1)
        }
        print("every goal holds, over \(seeds) seeds")
    }

    private static func write(_ results: [SimulationResult], to path: String) throws {
        let text = "[" + results.map(\.json).joined(separator: ",\n") + "]\n"
        guard let file = fopen(path, "w") else { throw ValidationError("--json: \(path) cannot be written") }
        defer { fclose(file) }
        fputs(text, file)
    }
}
