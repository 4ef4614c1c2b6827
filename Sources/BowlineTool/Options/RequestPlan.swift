internal import ArgumentParser
internal import Bowline

/// The plan that a command line describes. The command line has been checked, so no part of it is refused later as
/// malformed.
struct RequestPlan: Sendable {
    /// The URLs as they were given.
    let urls: [String]
    /// One request for each URL.
    let requests: [ServiceRequest]
    let count: Int
    let workers: Int
    /// Each worker's pause between its requests.
    let interval: Duration?
    /// When the requests begin; nil: as soon as a worker is free.
    let pace: Pace?
    let usesEventLoopExecutor: Bool
    /// The time after which to begin a shutdown without a signal; nil: never.
    let shutdownAfter: Duration?
    /// How long a shutdown waits for requests in flight.
    let drain: Duration
    let output: OutputPlan
    let configuration: ClientConfiguration
    /// The client's base URL, which endpoints replace; nil: there are no endpoints.
    let baseURL: String?

    /// Checks the command line.
    ///
    /// - Throws: `ValidationError`, which names the option.
    init(_ command: RequestCommand) throws {
        let targets = command.urls.map { Target($0) } + (try command.message.targets.map(Target.read) ?? [])
        guard !targets.isEmpty else { throw ValidationError("there is no <url>, and no --targets with a URL") }
        urls = targets.map(\.url)
        count = try command.amount.requestCount(urls: urls.count)
        workers = try command.amount.workerCount(requests: count)
        interval = try command.amount.interval.notNegative("--interval")
        pace = try command.amount.makePace()
        usesEventLoopExecutor = command.amount.eventLoopExecutor
        shutdownAfter = try command.amount.shutdownAfter.notNegative("--shutdown-after")
        drain = try command.amount.drain.notNegative("--drain") ?? ClientConfiguration().lifecycle.drainTimeout
        output = try command.output.makePlan(workers: pace == nil ? workers : count)

        var configuration = ClientConfiguration()
        configuration.pool = try command.connections.makePool()
        configuration.http2 = try command.connections.makeHTTP2(for: urls)
        configuration.tls = try command.connections.makeTLS()
        configuration.proxy = try command.connections.makeProxy()
        configuration.timeouts = try command.time.makeTimeouts(isDownload: output.file != nil)
        configuration.lifecycle.drainTimeout = drain
        configuration.retry = try command.attempts.makeRetry()
        configuration.redirect = try command.attempts.makeRedirect()
        configuration.resilience = try command.resilience.makeResilience()
        configuration.resolver = try command.resilience.makeResolver()
        if command.output.noDecompress { configuration.decompression = .off }
        if let problem = configuration.problems().first(where: { $0.description.hasPrefix("resilience.hedging") }) {
            throw ValidationError("--hedge-after: \(problem)")
        }
        self.configuration = configuration
        var template = try command.message.makeTemplate()
        template.options = command.attempts.makeOptions()
        if count > 1, try command.message.hasOneShotBody() {
            throw ValidationError("--data-file: only a regular file can be sent more than once; send one request")
        }
        requests = try targets.map { target in
            var request = template
            if let method = target.method { request.method = method }
            request.reference = target.url
            do {
                request.url = try ServiceURL(target.url)
            } catch let error as ServiceError {
                throw ValidationError(error.message)
            }
            return request
        }
        baseURL = try command.resilience.baseURL(of: urls)
    }

    /// Returns the position in ``requests`` for the request with this index: the URLs are used in turn.
    func place(of index: Int) -> Int { index % requests.count }
}

/// The plan of the output: what the tool reports, and what it does with the bodies.
struct OutputPlan: Sendable, Hashable {
    var isJSON = false
    var isVerbose = false
    var isQuiet = false
    var failsOnStatus = false
    var dropsBodies = false
    var maximumBody: Int?
    var file: String?
}
