internal import ArgumentParser
internal import Bowline
internal import BowlinePlatform

/// `bowline-trust streams`: sends requests over HTTP/2 connections whose stream numbers run out, to a peer that pauses
/// and goes away.
struct StreamsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "streams",
        abstract:
            "Sends requests over HTTP/2 connections whose stream numbers run out, to a peer that pauses and goes away.",
        discussion: """
            The client has one connection at a time. Each connection begins with one of the last 250 \
            stream numbers that HTTP/2 has, so its numbers run out after at most 250 requests. As the \
            seed decides, the peer changes its windows and its stream limit while requests are in \
            flight, pauses, refuses streams, sends GOAWAY and cuts connections. The client must not lose \
            a request that it may repeat, and no POST may be executed twice. The same seed draws the \
            same requests and the same behaviour; the order in which tasks run is not repeated. Exit \
            status 1 if a rule is violated.
            """
    )

    @Option(help: "How many requests to make, 1 or more.")
    var requests = 1_000_000

    @Flag(help: "Makes 20,000 requests, unless --requests says otherwise.")
    var short = false

    @Option(help: "The seed of the requests and of the peer's behaviour. (default: random, and printed)")
    var seed: UInt64?

    @Option(help: "How many calls are made at once, 1 to 1,000.")
    var callers = 64

    func validate() throws {
        guard requests >= 1 else { throw ValidationError("--requests must be 1 or more") }
        guard (1...1_000).contains(callers) else { throw ValidationError("--callers must be 1 to 1000") }
    }

    func run() async throws {
        let seed = self.seed ?? UInt64.random(in: 0 ... .max)
        let requests = short && self.requests == 1_000_000 ? 20_000 : self.requests
        let command = "streams --requests \(requests) --seed \(seed) --callers \(callers)"
        print(command)
        fflush(nil)
        let watchdog = try Watchdog.start()
        // The limit assumes 1,000 requests a second; normally there are 10,000.
        let limit = Duration.seconds(120 + requests / 1_000)
        let record = try await StreamsRun.run(seed: seed, requests: requests, workers: callers) { run in
            watchdog.begin(limit: limit) {
                "HANGS: \(run.ended) calls ended in \(limit.messageText); repeat with \(command)"
            }
        }
        watchdog.end()
        let judge = StreamsJudge(record)
        print(judge.table(record.figures, requests: requests))
        print("")
        for error in record.errors { print("error: \(error)") }
        for violation in judge.violations { print("VIOLATED \(violation)") }
        guard judge.violations.isEmpty else {
            print("repeat with \(command)")
            throw ExitCode(1)
        }
        print(
            "\(requests) requests over \(record.figures.connections) connections, \(record.figures.exhausted) of which ran out "
                + "of streams: \(judge.lost) lost, \(judge.twice) executed twice")
    }
}
