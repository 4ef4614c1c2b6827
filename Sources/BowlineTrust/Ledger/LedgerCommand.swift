internal import ArgumentParser

/// `bowline-trust ledger`: compares the outcomes that a client reported with the requests that the service executed.
struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger",
        abstract: "Compares the outcomes that a client reported with the requests that the service executed.",
        discussion: """
            A run consists of episodes. Each episode has a client and a service, and about half of the \
            episodes have a path with faults between them. All are drawn from the seed: the same seed draws the same \
            episodes. The order in which tasks run is not repeated.

            With --proxy, up to six of ten clients use a proxy. Scripts/ledger starts proxies and adds this option.

            Exit status: 0 if no rule was violated, 1 if a rule was violated or an episode hung, 64 if \
            the command line is wrong.
            """
    )

    @Option(help: "The least number of requests to make, 1 or more.")
    var requests = 20_000

    @Option(help: "The seed from which the episodes are drawn. (default: random)")
    var seed: UInt64?

    @Option(help: "Runs only the episode with this number, from 0.")
    var episode: Int?

    @Option(help: "How often to run the episode of --episode, 1 or more.")
    var times = 1

    @Option(help: "The number of seconds after which an episode counts as hung, 1 or more.")
    var hangAfter = 60

    @Option(help: "How many milliseconds after its deadline a call may end, 0 to 1,000,000. A debug build needs more.")
    var grace: Int64 = LedgerJudge.grace / 1_000_000

    @Option(
        help: "A running proxy: http://host:port, socks5h://host:port or socks5://host:port. Repeatable.",
        transform: { try LedgerProxy($0) })
    var proxy: [LedgerProxy] = []

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
            times: times, hangAfter: .seconds(hangAfter), grace: grace * 1_000_000, proxies: proxy)
        guard try await run.run() else { throw ExitCode(1) }
    }
}
