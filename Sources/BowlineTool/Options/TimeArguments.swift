internal import ArgumentParser
internal import Bowline

/// How long each phase may take.
struct TimeArguments: ParsableArguments {
    @Option(help: ArgumentHelp("For a dial: name, TCP and TLS together. (default: 10)", valueName: "s"))
    var connectTimeout: Seconds?

    @Option(help: ArgumentHelp("For the response head, once the request is sent. (default: 30)", valueName: "s"))
    var headTimeout: Seconds?

    @Option(help: ArgumentHelp("Without progress in a body. (default: 30)", valueName: "s"))
    var bodyIdleTimeout: Seconds?

    @Option(help: ArgumentHelp("For the whole request. (default: 60; with -o none)", valueName: "s"))
    var timeout: Seconds?
}

extension TimeArguments {
    /// The limits that were asked for, over the client's own.
    ///
    /// - Parameter isDownload: The body goes to a file: no total limit unless asked for.
    func makeTimeouts(isDownload: Bool) throws -> Timeouts {
        var timeouts = Timeouts()
        if let connect = try connectTimeout.positive("--connect-timeout") {
            timeouts.connect = connect
            // Waiting for a connection includes its dial, so it must not end sooner.
            timeouts.poolAcquire = timeouts.poolAcquire.map { max($0, connect) }
        }
        if let head = try headTimeout.positive("--head-timeout") { timeouts.responseHead = head }
        if let idle = try bodyIdleTimeout.positive("--body-idle-timeout") { timeouts.bodyIdle = idle }
        if isDownload { timeouts.total = nil }
        if let total = try timeout.positive("--timeout") { timeouts.total = total }
        return timeouts
    }
}
