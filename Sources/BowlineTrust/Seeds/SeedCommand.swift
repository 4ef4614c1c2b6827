internal import ArgumentParser
internal import BowlinePlatform

/// Runs the seeds of a subcommand of `bowline-trust`, and prints what they show.
struct SeedCommand {
    /// From this number of seeds on, everything must happen at least once.
    private static let representativeCount = 1_000

    /// The name of the subcommand.
    let name: String
    let required: [String]
    let jobs: Int
    /// Runs the simulation of a seed, and judges it.
    let outcome: @Sendable (UInt64) async -> SeedOutcome

    /// Runs seeds, and prints a table, the violations and a summary.
    ///
    /// - Parameter arguments: The arguments that repeat the run.
    /// - Throws: `ExitCode` 1 if a rule is violated.
    func run(_ seeds: [UInt64], arguments: String) async throws {
        print("\(name) \(arguments)")
        fflush(nil)
        let watchdog = try Watchdog.start()
        watch(watchdog, 0, of: seeds)
        let tally = await SeedTally.run(
            seeds, jobs: jobs, required: required, ended: { watch(watchdog, $0, of: seeds) }, outcome: outcome)
        watchdog.end()
        try report(tally)
    }

    /// Runs one seed, and prints its trace.
    ///
    /// - Throws: `ExitCode` 1 if a rule is violated.
    func replay(_ seed: UInt64) async throws {
        let outcome = await outcome(seed)
        for line in outcome.trace { print(line) }
        print("")
        for violation in outcome.violations { print("VIOLATED \(violation)") }
        print("seed \(seed), \(outcome.calls) calls: \(outcome.violations.count) violations")
        guard outcome.violations.isEmpty else { throw ExitCode(1) }
    }

    /// A simulation takes milliseconds. One that takes minutes of real time hangs.
    private func watch(_ watchdog: Watchdog, _ ended: Int, of list: [UInt64]) {
        let running = list.dropFirst(max(0, ended - jobs)).prefix(2 * jobs).map { "\($0)" }.joined(separator: ", ")
        let name = name
        watchdog.begin(limit: .seconds(300)) {
            "HANGS: \(ended) seeds have ended; the next is one of \(running); repeat with \(name) --seed N"
        }
    }

    private func report(_ tally: SeedTally) throws {
        var table = TextTable(["what", "how often"])
        for (name, count) in tally.figures.sorted(by: { $0.key < $1.key }) { table.add([name, "\(count)"]) }
        print(table)
        print("")
        for failure in tally.failures {
            print("seed \(failure.seed), repeat with \(name) --seed \(failure.seed):")
            for violation in failure.violations { print("    VIOLATED \(violation)") }
        }
        let missing = tally.runs >= Self.representativeCount ? tally.missing : []
        for name in missing { print("VIOLATED \(name): never happened, so the run says nothing about it") }
        print("\(tally.runs) seeds, \(tally.calls) calls: \(tally.failed) seeds violate a rule")
        guard tally.failed == 0, missing.isEmpty else { throw ExitCode(1) }
    }
}
