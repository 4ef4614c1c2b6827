internal import ArgumentParser
internal import Bowline

/// What a command line asks for, checked: nothing in it can be refused later for being malformed.
struct RequestPlan: Sendable {
    /// The URLs as they were given.
    let urls: [String]
    /// A request for each of them.
    let requests: [ServiceRequest]
    let count: Int
    let workers: Int
    /// Each worker's pause between its requests.
    let interval: Duration?
    let usesEventLoopExecutor: Bool
    /// When to begin a shutdown unasked.
    let shutdownAfter: Duration?
    /// How long a shutdown waits.
    let drain: Duration
    let output: OutputPlan
    let configuration: ClientConfiguration
    /// What the picture of a request's time needs to know of dials; nil: nobody wants to see one.
    let dials: DialWatch?

    /// Checks the command line.
    ///
    /// - Throws: `ValidationError` that names the option.
    init(_ command: RequestCommand) throws {
        urls = command.urls
        count = try command.amount.requestCount(urls: urls.count)
        workers = try command.amount.workerCount(requests: count)
        interval = try command.amount.interval.notNegative("--interval")
        usesEventLoopExecutor = command.amount.eventLoopExecutor
        shutdownAfter = try command.amount.shutdownAfter.notNegative("--shutdown-after")
        drain = try command.amount.drain.notNegative("--drain") ?? ClientConfiguration().lifecycle.drainTimeout
        output = try command.output.makePlan(workers: workers)

        var configuration = ClientConfiguration()
        configuration.pool = try command.connections.makePool()
        configuration.http2 = try command.connections.makeHTTP2(for: command.urls)
        configuration.tls = try command.connections.makeTLS()
        configuration.timeouts = try command.time.makeTimeouts(isDownload: output.file != nil)
        configuration.lifecycle.drainTimeout = drain
        configuration.retry = try command.attempts.makeRetry()
        configuration.redirect = try command.attempts.makeRedirect()
        if command.output.noDecompress { configuration.decompression = .off }
        dials = output.isVerbose ? DialWatch() : nil
        configuration.telemetry.events = dials.map { [$0] } ?? []
        self.configuration = configuration

        var template = try command.message.makeTemplate()
        template.options = command.attempts.makeOptions()
        if count > 1, try command.message.hasOneShotBody() {
            throw ValidationError("--data-file: what is not a regular file can be sent once: leave out -n")
        }
        requests = try urls.map { url in
            var request = template
            request.reference = url
            do {
                request.url = try ServiceURL(url)
            } catch let error as ServiceError {
                throw ValidationError(error.message)
            }
            return request
        }
    }

    /// The request of that index: the URLs take turns.
    func place(of index: Int) -> Int { index % requests.count }
}

/// What is said, and what becomes of the bodies.
struct OutputPlan: Sendable, Hashable {
    var isJSON = false
    var isVerbose = false
    var isQuiet = false
    var failsOnStatus = false
    var dropsBodies = false
    var maximumBody: Int?
    var file: String?
}
