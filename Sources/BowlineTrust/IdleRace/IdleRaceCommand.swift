internal import ArgumentParser
internal import Bowline
internal import BowlineTesting

/// `bowline-trust idle-race`: sends requests while a server closes unused connections. Compares the outcomes that the
/// callers saw with the server's access log.
struct IdleRaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle-race",
        abstract: "Sends requests while a server closes unused connections.",
        discussion: """
            Half of the requests are GETs, half are POSTs. Each has an id in the field X-Id. The server \
            must return the id in its answer, and must write a line "METHOD ID" for each request into \
            its access log.

            The client does not retry; only the transport may send a GET a second time. Exit status 1 in \
            these cases: a GET failed, a POST was executed twice, an answer belonged to another request, \
            an error reported a wrong progress, or no request was sent while the server closed its \
            connection. With --hinted also if the server closed a connection or a POST failed.
            """
    )

    @Argument(help: ArgumentHelp("The server's base URL.", valueName: "url"))
    var url: String

    @Option(help: ArgumentHelp("The server's access log.", valueName: "file"))
    var accessLog: String

    @Option(help: "The time after which the server closes an unused connection, in milliseconds.")
    var timeoutMilliseconds: Int

    @Option(help: "The largest difference between a gap and the server's timeout, in milliseconds.")
    var sweepMilliseconds = 60

    @Option(help: "After how many milliseconds the client closes an unused connection. Half of the gaps are near that.")
    var ownTimeoutMilliseconds: Int?

    @Option(help: "How many requests are sent over all connections together.")
    var requests = 5_000

    @Option(help: "How many connections are open at once. Each carries one request at a time.")
    var connections = 250

    @Option(help: "The seed of the random numbers. (default: random, and printed)")
    var seed: UInt64?

    @Flag(help: "The server announces its timeout (Keep-Alive: timeout), so the client must always close first.")
    var hinted = false

    func validate() throws {
        guard requests > 0 else { throw ValidationError("--requests must be greater than zero") }
        guard connections > 0 else { throw ValidationError("--connections must be greater than zero") }
        guard timeoutMilliseconds > 0 else { throw ValidationError("--timeout-milliseconds must be greater than zero") }
        guard ownTimeoutMilliseconds ?? 1 > 0 else {
            throw ValidationError("--own-timeout-milliseconds must be greater than zero")
        }
        guard sweepMilliseconds >= 0 else { throw ValidationError("--sweep-milliseconds must not be negative") }
    }

    func run() async throws {
        var random = SeededRandom(seed: seed ?? .random(in: 0 ... .max))
        print("seed \(random.seed)")
        let lanes = try makeLanes()
        let records = await race(lanes, seeds: lanes.map { _ in random.next() })
        var (opened, closed) = (0, [String: Int]())
        for lane in lanes {
            let snapshot = lane.client.pool.snapshot()
            opened += snapshot.opened
            closed.merge(snapshot.closed, uniquingKeysWith: +)
            _ = await lane.client.shutdown(within: .seconds(1))
        }
        let log = try await completeLog(for: records)
        let report = IdleRaceReport(
            judgement: IdleRaceJudgement(records, log: log), opened: opened, closed: closed, isHinted: hinted)
        print(report.text)
        if !report.problems.isEmpty { throw ExitCode(1) }
    }

    private func makeLanes() throws -> [IdleRaceLane] {
        let gaps = IdleRaceGaps(
            timeout: .milliseconds(timeoutMilliseconds), sweep: .milliseconds(sweepMilliseconds),
            ownTimeout: ownTimeoutMilliseconds.map { Duration.milliseconds($0) })
        let lanes = min(connections, requests)
        return try (0..<lanes).map { number in
            // Each lane has its own client: a lane never gets a connection that another lane has just used.
            let client = try ServiceClient(baseURL: url) {
                $0.retry.maximumAttempts = 1
                $0.pool.maximumPerOrigin = 2
            }
            let share = requests / lanes + (number < requests % lanes ? 1 : 0)
            return IdleRaceLane(number: number, requests: share, gaps: gaps, client: client)
        }
    }

    private func race(_ lanes: [IdleRaceLane], seeds: [UInt64]) async -> [IdleRaceRecord] {
        await withTaskGroup(of: [IdleRaceRecord].self) { group in
            for (lane, seed) in zip(lanes, seeds) {
                group.addTask { await lane.run(random: SeededRandom(seed: seed)) }
            }
            var records: [IdleRaceRecord] = []
            for await own in group { records += own }
            return records
        }
    }

    /// Reads the log when it contains every answered request: a server writes its line after its response. Reads the
    /// log after five seconds even if lines are missing.
    private func completeLog(for records: [IdleRaceRecord]) async throws -> AccessLog {
        for _ in 0..<50 {
            let log = try AccessLog(path: accessLog)
            if IdleRaceJudgement.isComplete(log, for: records) { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        // The server may still execute a request that failed on the client.
        try await Task.sleep(for: .milliseconds(200))
        return try AccessLog(path: accessLog)
    }
}
