internal import Bowline

/// The timeouts of the client that uses a silent path, and the recovery times that the documents promise with them.
struct SilenceLimits: Sendable {
    let connect = Duration.milliseconds(500)
    let poolAcquire = Duration.seconds(2)
    let responseHead = Duration.milliseconds(500)
    let bodyIdle = Duration.milliseconds(500)
    let total = Duration.seconds(5)
    let keepAliveInterval = Duration.seconds(1)
    let keepAliveTimeout = Duration.milliseconds(300)
    /// The longest waits before two retries: 50 ms and 100 ms.
    let retryWaits = Duration.milliseconds(150)
    /// The additional time that a busy machine may need.
    let slack = Duration.milliseconds(300)

    /// How long a path that recovers stays silent: longer than the timeout of one attempt. The time is shorter in the
    /// `dial` phase of a connection without TLS. There the client counts an accepted connection as established, and if
    /// no request used it during the silence, it would stay in the pool.
    func dark(_ scenario: SilenceScenario) -> Duration {
        scenario.phase == .dial && !scenario.speaks.isEncrypted ? .milliseconds(450) : .milliseconds(600)
    }

    /// The longest time from the recovery of the path to the next success of each caller.
    ///
    /// A silent path costs each request in flight one timeout (`Docs/Decisions/silent-connections.md`). A request that
    /// began just before the path recovered ends within that timeout. Its retry, or the next call, gets a working
    /// connection. Over HTTP/2 the client does not doubt a connection on which bytes of the response have arrived. The
    /// PING after the stream's reset finds that connection dead, and the client closes it (`Docs/HTTP2.md`).
    func promisedRecovery(_ scenario: SilenceScenario) -> Duration {
        let attempt = max(connect, responseHead, bodyIdle)
        let ping = scenario.speaks == .http2TLS ? keepAliveTimeout : .zero
        // The service answers the first call of a worker slowly if the call begins during the silence.
        let answer = scenario.phase == .idle || scenario.phase.isInDial ? SilenceService.slowness : .zero
        return attempt + ping + retryWaits + answer + slack
    }

    /// How many calls may fail: those in flight at the start of the silence, and those that began while new connections
    /// were silent.
    func allowedFailures(_ scenario: SilenceScenario, workers: Int) -> Int {
        scenario.healsAtOnce ? workers : 2 * workers
    }

    /// How many of the failed calls may be idempotent. The client does not retry a response whose body ended early.
    func allowedIdempotentFailures(_ scenario: SilenceScenario, workers: Int) -> Int {
        scenario.phase == .body ? workers : 0
    }

    /// The error codes with which a call may fail.
    static let expectedCodes: Set<String> = [
        "connectTimeout", "responseHeadTimeout", "bodyIdleTimeout", "attemptTimeout", "connectionClosed",
        "incompleteBody",
    ]

    /// Sets these limits in a client's configuration.
    func apply(to configuration: inout ClientConfiguration, _ scenario: SilenceScenario) {
        configuration.timeouts.connect = connect
        configuration.timeouts.poolAcquire = poolAcquire
        configuration.timeouts.responseHead = responseHead
        configuration.timeouts.bodyIdle = bodyIdle
        configuration.timeouts.total = total
        configuration.http2.negotiation = scenario.speaks == .http2TLS ? .automatic : .http1Only
        configuration.http2.keepAliveInterval = keepAliveInterval
        configuration.http2.keepAliveTimeout = keepAliveTimeout
    }
}
