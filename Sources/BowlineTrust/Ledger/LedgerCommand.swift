internal import ArgumentParser

/// `bowline-trust ledger`: compares the outcomes that a client reported with the requests that the service executed.
struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger",
        abstract: "Compares what a client was told of its requests with what the service executed.",
        discussion: """
            A run consists of episodes: each has a client, a service and, most of the time, a path with faults, all drawn from the \
            seed. The same seed draws the same episodes. How tasks interleave is not repeated.

            Exit status: 0 no rule was violated, 1 some were or an episode hung, 64 the command line is wrong.
            """
    )

    @Option(help: "How many requests to make at least, 1 or more.")
    var requests = 20_000

    @Option(help: "What the episodes are drawn from; default: a random number.")
    var seed: UInt64?

    @Option(help: "Runs only the episode with this number, from 0.")
    var episode: Int?

    @Option(help: "How often to run the one episode, 1 or more.")
    var times = 1

    @Option(help: "After how many seconds an episode counts as hung, 1 or more.")
    var hangAfter = 60

    @Option(help: "How many milliseconds a call may end after its deadline, 0 to 1,000,000. More for a debug build.")
    var grace: Int64 = LedgerJudge.grace / 1_000_000

    func validate() throws {
        guard requests >= 1, times >= 1, hangAfter >= 1, episode ?? 0 >= 0 else {
            throw ValidationError("--requests, --times and --hang-after must be 1 or more, --episode 0 or more")
        }
        guard (0...1_000_000).contains(grace) else {
            throw ValidationError("--grace must be 0 to 1,000,000 milliseconds")
        }
    }

    func run() async throws {
        let run = LedgerRun(
            seed: seed ?? UInt64.random(in: UInt64.min...UInt64.max), requests: requests, episode: episode,
            times: times, hangAfter: .seconds(hangAfter), grace: grace * 1_000_000)
        guard try await run.run() else { throw ExitCode(1) }
    }
}
