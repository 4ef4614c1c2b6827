internal import ArgumentParser
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

    @OptionGroup
    var options: SeedOptions

    @Flag(help: "Performs all orders of events on two connections and three requests instead.")
    var orders = false

    @Option(help: "How many events an order of --orders has, 1 to 12.")
    var depth = 8

    func validate() throws {
        guard (1...12).contains(depth) else { throw ValidationError("--depth must be 1 to 12") }
    }

    func run() async throws {
        if orders { return try await runOrders() }
        try await options.run(
            "simulate-client", kept: SimulationKeptSeeds.all, required: SimulationSuite.required
        ) { await SimulationSuite.outcome(of: $0) }
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
            for _ in 0..<options.jobs { addNext() }
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
