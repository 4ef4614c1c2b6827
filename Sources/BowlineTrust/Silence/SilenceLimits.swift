internal import Bowline

/// The limits of the client that meets a silent path, and what the documents promise with them.
struct SilenceLimits: Sendable {
    let connect = Duration.milliseconds(500)
    let poolAcquire = Duration.seconds(2)
    let responseHead = Duration.milliseconds(500)
    let bodyIdle = Duration.milliseconds(500)
    let total = Duration.seconds(5)
    let keepAliveInterval = Duration.seconds(1)
    let keepAliveTimeout = Duration.milliseconds(300)
    /// The waits before two retries at their longest: 50 ms and 100 ms.
    let retryWaits = Duration.milliseconds(150)
    /// For a machine that is busy.
    let slack = Duration.milliseconds(300)

    /// How long the path is dark where it comes back: longer than a limit of one attempt. In the dial of a plain connection
    /// shorter: one that was accepted counts as established, and one that no request used in the dark would be left.
    func dark(_ scenario: SilenceScenario) -> Duration {
        scenario.phase == .dial && !scenario.speaks.isEncrypted ? .milliseconds(450) : .milliseconds(600)
    }

    /// How long after the path has healed each caller succeeds again, at the latest.
    ///
    /// A silent path costs one limit for each request that is under way (`Docs/Decisions/silent-connections.md`): a request that
    /// began just before the path healed ends by then, and its retry, or the next call, finds a connection that works. Over
    /// HTTP/2 a connection on which bytes of the response had come is not doubted; the PING that follows the reset stream
    /// ends it (`Docs/HTTP2.md`).
    func promisedRecovery(_ scenario: SilenceScenario) -> Duration {
        let attempt = max(connect, responseHead, bodyIdle)
        let ping = scenario.speaks == .http2TLS ? keepAliveTimeout : .zero
        // The first call of a worker that begins in the dark is answered slowly.
        let answer = scenario.phase == .idle || scenario.phase.isInDial ? SilenceService.slowness : .zero
        return attempt + ping + retryWaits + answer + slack
    }

    /// How many calls may fail: those that were under way, and those that began while new connections were dark.
    func allowedFailures(_ scenario: SilenceScenario, workers: Int) -> Int {
        scenario.healsAtOnce ? workers : 2 * workers
    }

    /// How many of them may be idempotent: a response body that ends early is not asked for again.
    func allowedIdempotentFailures(_ scenario: SilenceScenario, workers: Int) -> Int {
        scenario.phase == .body ? workers : 0
    }

    /// What a call may fail with.
    static let expectedCodes: Set<String> = [
        "connectTimeout", "responseHeadTimeout", "bodyIdleTimeout", "attemptTimeout", "connectionClosed",
        "incompleteBody",
    ]

    /// Gives a client these limits.
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
