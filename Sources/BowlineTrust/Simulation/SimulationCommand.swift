internal import ArgumentParser
internal import BowlineCore
internal import BowlinePlatform

/// `bowline-trust simulate-client`: runs the whole client against a simulated network on virtual time, for many seeds.
struct SimulationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate-client",
        abstract: "Runs the whole client against a simulated network on virtual time, for many seeds.",
        discussion: """
            Each seed draws a client, hosts, a network with faults, calls and a shutdown. Everything runs on one thread \
            and on virtual time, so the same seed gives the same run. See Docs/Simulation.md.

            Exit status: 0 if no rule was violated, 1 if a rule was violated, 64 if the command line is wrong.
            """
    )

    /// From this number of seeds on, everything must happen at least once.
    private static let representativeCount = 1_000

    @Option(help: "How many seeds to run, 1 or more.")
    var seeds = 2_000

    @Option(help: "The first seed. (default: random, and printed)")
    var first: UInt64?

    @Option(help: "Runs only this seed, and prints its trace.")
    var seed: UInt64?

    @Flag(help: "Runs the seeds that once failed.")
    var kept = false

    @Flag(help: "Performs all orders of events on two connections and three requests instead.")
    var orders = false

    @Option(help: "How many events an order of --orders has, 1 to 12.")
    var depth = 8

    @Option(help: "How many simulations run at once, 1 to 64.")
    var jobs = 2

    func validate() throws {
        guard seeds >= 1 else { throw ValidationError("--seeds must be 1 or more") }
        guard (1...12).contains(depth) else { throw ValidationError("--depth must be 1 to 12") }
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs must be 1 to 64") }
    }

    func run() async throws {
        if orders { return try await runOrders() }
        if let seed { return try await replay(seed) }
        let first = self.first ?? UInt64.random(in: 0..<1 << 48)
        let list = kept ? SimulationKeptSeeds.all.map(\.seed) : (0..<UInt64(seeds)).map { first &+ $0 }
        print(kept ? "simulate-client --kept" : "simulate-client --seeds \(seeds) --first \(first)")
        fflush(nil)
        let watchdog = try Watchdog.start()
        watch(watchdog, 0, of: list)
        let tally = await SimulationSuite.run(list, jobs: jobs) { ended in watch(watchdog, ended, of: list) }
        watchdog.end()
        try report(tally)
    }

    /// A simulation takes milliseconds. One that takes minutes of real time hangs.
    private func watch(_ watchdog: Watchdog, _ ended: Int, of list: [UInt64]) {
        let running = list.dropFirst(max(0, ended - jobs)).prefix(2 * jobs).map { "\($0)" }.joined(separator: ", ")
        watchdog.begin(limit: .seconds(300)) {
            "HANGS: \(ended) seeds have ended; the next is one of \(running); repeat with simulate-client --seed N"
        }
    }

    private func report(_ tally: SimulationSuite.Tally) throws {
        var table = TextTable(["what", "how often"])
        for (name, count) in tally.figures.sorted(by: { $0.key < $1.key }) { table.add([name, "\(count)"]) }
        print(table)
        print("")
        for failure in tally.failures {
            print("seed \(failure.seed), repeat with simulate-client --seed \(failure.seed):")
            for violation in failure.violations { print("    VIOLATED \(violation)") }
        }
        let missing = tally.runs >= Self.representativeCount ? tally.missing : []
        for name in missing { print("VIOLATED \(name): never happened, so the run says nothing about it") }
        print("\(tally.runs) seeds, \(tally.calls) calls: \(tally.failed) seeds violate a rule")
        guard tally.failed == 0, missing.isEmpty else { throw ExitCode(1) }
    }

    private func replay(_ seed: UInt64) async throws {
        let outcome = await SimulationSuite.outcome(of: seed)
        for line in outcome.trace { print(line) }
        print("")
        for violation in outcome.violations { print("VIOLATED \(violation)") }
        print("seed \(seed), \(outcome.calls) calls: \(outcome.violations.count) violations")
        guard outcome.violations.isEmpty else { throw ExitCode(1) }
    }

    private func runOrders() async throws {
        var orders = 0
        var violations: [String] = []
        await withTaskGroup(of: (SimulationOrders.Setup, SimulationOrders.Result).self) { group in
            var left = SimulationOrders.Setup.all[...]
            func addNext() {
                guard let setup = left.popFirst() else { return }
                let depth = depth
                group.addTask { (setup, await SimulationOrders(setup: setup, depth: depth).explore()) }
            }
            for _ in 0..<jobs { addNext() }
            while let (setup, result) = await group.next() {
                print("\(setup): \(result.orders) orders, \(result.states) states")
                fflush(nil)
                orders += result.orders
                violations += result.violations
                addNext()
            }
        }
        for violation in violations { print("VIOLATED \(violation)") }
        print("\(orders) orders of up to \(depth) events: \(violations.count) violations")
        guard violations.isEmpty else { throw ExitCode(1) }
    }
}
