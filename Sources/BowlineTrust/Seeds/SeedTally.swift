/// The results of the simulations of many seeds.
struct SeedTally: Sendable {
    /// A seed whose simulation violates a rule.
    struct Failure: Sendable {
        let seed: UInt64
        let violations: [String]
    }

    /// How many failures are kept.
    private static let failureLimit = 20

    /// What the seeds must show, if there are many of them. A simulation in which one of these never happens says
    /// nothing about it.
    let required: [String]
    private(set) var runs = 0
    private(set) var calls = 0
    /// How the calls ended, and how often events happened.
    private(set) var figures: [String: Int] = [:]
    private(set) var failures: [Failure] = []
    /// How many seeds failed.
    private(set) var failed = 0

    init(required: [String]) {
        self.required = required
    }

    /// The required events that never happened.
    var missing: [String] { required.filter { figures[$0, default: 0] == 0 } }

    mutating func add(_ outcome: SeedOutcome) {
        runs += 1
        calls += outcome.calls
        figures.merge(outcome.figures) { $0 + $1 }
        guard !outcome.violations.isEmpty else { return }
        failed += 1
        guard failures.count < Self.failureLimit else { return }
        failures.append(Failure(seed: outcome.seed, violations: outcome.violations))
        failures.sort { $0.seed < $1.seed }
    }

    /// Runs the seeds, so many at a time. Each has a thread of its own.
    ///
    /// - Parameters:
    ///   - ended: Called after each seed with the number of seeds that have ended. One call at a time.
    ///   - outcome: Runs the simulation of a seed, and judges it.
    static func run(
        _ seeds: [UInt64], jobs: Int, required: [String], ended: (Int) -> Void = { _ in },
        outcome: @escaping @Sendable (UInt64) async -> SeedOutcome
    ) async -> SeedTally {
        var tally = SeedTally(required: required)
        await withTaskGroup(of: SeedOutcome.self) { group in
            var left = seeds[...]
            for _ in 0..<max(1, jobs) {
                guard let seed = left.popFirst() else { break }
                group.addTask { await outcome(seed) }
            }
            while let result = await group.next() {
                tally.add(result)
                ended(tally.runs)
                guard let seed = left.popFirst() else { continue }
                group.addTask { await outcome(seed) }
            }
        }
        return tally
    }
}
