internal import ArgumentParser

/// The options of a subcommand that runs the simulations of seeds.
struct SeedOptions: ParsableArguments {
    @Option(help: "How many seeds to run, 1 or more.")
    var seeds = 2_000

    @Option(help: "The first seed. (default: random, and printed)")
    var first: UInt64?

    @Option(help: "Runs only this seed, and prints its trace.")
    var seed: UInt64?

    @Flag(help: "Runs the seeds that once failed.")
    var kept = false

    @Option(help: "How many simulations run at once, 1 to 64.")
    var jobs = 2

    func validate() throws {
        guard seeds >= 1 else { throw ValidationError("--seeds must be 1 or more") }
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs must be 1 to 64") }
    }

    /// Runs what the options say.
    ///
    /// - Parameter kept: The seeds that once failed.
    func run(
        _ name: String, kept keptSeeds: [KeptSeed], required: [String],
        outcome: @escaping @Sendable (UInt64) async -> SeedOutcome
    ) async throws {
        let command = SeedCommand(name: name, required: required, jobs: jobs, outcome: outcome)
        if let seed { return try await command.replay(seed) }
        guard !kept else { return try await command.run(keptSeeds.map(\.seed), arguments: "--kept") }
        let first = self.first ?? UInt64.random(in: 0..<1 << 48)
        let list = (0..<UInt64(seeds)).map { first &+ $0 }
        try await command.run(list, arguments: "--seeds \(seeds) --first \(first)")
    }
}

/// A seed whose simulation once violated a rule.
struct KeptSeed: Sendable, Hashable {
    let seed: UInt64
    /// What was wrong.
    let fault: String
}
