internal import ArgumentParser
internal import Bowline

/// The options that limit how long each phase may take.
struct TimeArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Limit for a dial: name, TCP, proxy and TLS together. (default: 10)", valueName: "s"))
    var connectTimeout: Seconds?

    @Option(help: ArgumentHelp("Limit for the response head, once the request is sent. (default: 30)", valueName: "s"))
    var headTimeout: Seconds?

    @Option(help: ArgumentHelp("Limit for the time without progress in a body. (default: 30)", valueName: "s"))
    var bodyIdleTimeout: Seconds?

    @Option(help: ArgumentHelp("Limit for the whole request. (default: 60; with -o none)", valueName: "s"))
    var timeout: Seconds?
}

extension TimeArguments {
    /// Makes the limits: the client's defaults unless the command line says otherwise.
    ///
    /// - Parameter isDownload: Whether the body goes to a file. Then there is no total limit unless the command line
    ///   sets one.
    func makeTimeouts(isDownload: Bool) throws -> Timeouts {
        var timeouts = Timeouts()
        if let connect = try connectTimeout.positive("--connect-timeout") {
            timeouts.connect = connect
            // The wait for a connection includes its dial, so its limit must not be shorter.
            timeouts.poolAcquire = timeouts.poolAcquire.map { max($0, connect) }
        }
        if let head = try headTimeout.positive("--head-timeout") { timeouts.responseHead = head }
        if let idle = try bodyIdleTimeout.positive("--body-idle-timeout") { timeouts.bodyIdle = idle }
        if isDownload { timeouts.total = nil }
        if let total = try timeout.positive("--timeout") { timeouts.total = total }
        return timeouts
    }
}
