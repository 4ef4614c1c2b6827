internal import ArgumentParser

/// The options for the number of requests and workers, for the pace, and for the shutdown.
struct AmountArguments: ParsableArguments {
    @Option(
        name: .customShort("n"),
        help: ArgumentHelp(
            "The number of requests, spread over the URLs in turn. (default: one for each URL)", valueName: "count")
    )
    var count: Int?

    @Option(
        name: .customShort("c"),
        help: ArgumentHelp("The number of workers; each has one request in flight.", valueName: "concurrency")
    )
    var concurrency = 1

    @Option(help: ArgumentHelp("Each worker's pause between its requests.", valueName: "s"))
    var interval: Seconds?

    @Option(
        help: ArgumentHelp(
            "Begins this many requests per second, however long they take, in place of workers.", valueName: "n"))
    var pace: Double?

    @Option(help: ArgumentHelp("Begins a shutdown after this time, as a signal would.", valueName: "s"))
    var shutdownAfter: Seconds?

    @Option(help: ArgumentHelp("How long a shutdown waits for requests in flight. (default: 25)", valueName: "s"))
    var drain: Seconds?

    @Flag(help: "Runs the workers on the client's event loops: no switch between threads.")
    var eventLoopExecutor = false
}

extension AmountArguments {
    /// Returns how many requests to send.
    func requestCount(urls: Int) throws -> Int {
        guard let count else { return urls }
        guard count >= 1 else { throw ValidationError("-n must be at least 1, is \(count)") }
        return count
    }

    /// Returns how many workers share the requests.
    func workerCount(requests: Int) throws -> Int {
        guard (1...100_000).contains(concurrency) else {
            throw ValidationError("-c must be from 1 to 100000, is \(concurrency)")
        }
        return min(concurrency, requests)
    }

    /// Returns the pace; nil: workers send the requests.
    func makePace() throws -> Pace? {
        guard let pace else { return nil }
        guard Pace.rates.contains(pace) else {
            throw ValidationError("--pace must be from 0.001 to 100000, is \(pace)")
        }
        guard concurrency == 1, interval == nil else {
            throw ValidationError("--pace replaces the workers: -c and --interval cannot be given with it")
        }
        return Pace(perSecond: pace)
    }
}
