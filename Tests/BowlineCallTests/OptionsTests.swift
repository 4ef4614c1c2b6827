import BowlineCore
import Testing

@Suite("Options of behaviours")
struct OptionsTests {
    @Test("an option out of range is a problem that names its path")
    func problems() {
        var retry = RetryOptions()
        retry.maximumAttempts = 0
        retry.statuses = [200, 503]
        retry.baseDelay = .seconds(-1)
        retry.budget?.ratio = 1.5
        retry.budget?.window = .zero
        let paths = retry.problems(at: "retry").map(\.path)
        #expect(
            paths == [
                "retry.maximumAttempts", "retry.statuses", "retry.backoff.base", "retry.budget.ratio",
                "retry.budget.window",
            ])
        var redirect = RedirectOptions()
        redirect.maximum = 101
        #expect(redirect.problems(at: "redirect").map(\.path) == ["redirect.maximum"])
        var decompression = DecompressionOptions()
        decompression.maximumRatio = 1
        decompression.maximumLayers = 0
        #expect(
            decompression.problems(at: "decompression").map(\.path) == [
                "decompression.maximumRatio", "decompression.maximumLayers",
            ])
    }

    private struct Refusal: Error {}

    /// The defaults with `change`, made once by the closure initializer and once by hand.
    private func make<Options: ConfigurableOptions>(
        _ change: (inout Options) -> Void
    ) throws -> (made: Options, expected: Options) {
        var expected = Options()
        change(&expected)
        #expect(throws: Refusal.self) { try Options { _ in throw Refusal() } }
        return (Options { change(&$0) }, expected)
    }

    private func expectEqual<Options: ConfigurableOptions & Equatable>(_ change: (inout Options) -> Void) throws {
        let (made, expected) = try make(change)
        #expect(made == expected)
        #expect(made != Options())
    }

    @Test("each group of options is made by a closure that changes its defaults, and may throw")
    func closures() throws {
        try expectEqual { (options: inout RetryBudgetOptions) in options.perSecond = 1 }
        try expectEqual { (options: inout RedirectOptions) in options.maximum = 1 }
        try expectEqual { (options: inout RedirectOverrides) in options.maximum = 1 }
        try expectEqual { (options: inout DecompressionOptions) in options.maximumLayers = 1 }
        try expectEqual { (options: inout DecompressionOverrides) in options.isEnabled = false }
        try expectEqual { (options: inout Timeouts) in options.attempt = .seconds(1) }
        try expectEqual { (options: inout TimeoutOverrides) in options.total = .unlimited }
        try expectEqual { (options: inout ConnectionOptions) in options.replayLimit = 1 }
        try expectEqual { (options: inout HTTP2Options) in options.maximumStreams = 1 }
        try expectEqual { (options: inout PoolOptions) in options.maximumPerOrigin = 1 }
        try expectEqual { (options: inout TLSOptions) in options.verification = .disabled }
        // Options with closures are not Equatable.
        let retry = try make { (options: inout RetryOptions) in options.maximumAttempts = 4 }
        #expect(retry.made.maximumAttempts == 4)
        let retryOverrides = try make { (options: inout RetryOverrides) in options.maximumAttempts = 4 }
        #expect(retryOverrides.made.maximumAttempts == 4)
        let backoff = try make { (options: inout RetryBackoff) in options.base = .seconds(4) }
        #expect(backoff.made.base == .seconds(4))
        let request = try make { (options: inout RequestOptions) in options.authenticates = false }
        #expect(!request.made.authenticates)
        let telemetry = try make { (options: inout TelemetryOptions) in options.isTracingEnabled = false }
        #expect(!telemetry.made.isTracingEnabled)
        #expect(telemetry.made.isMetricsEnabled)
        let short = RetryOptions { $0.maximumAttempts = 4 }
        #expect(short.maximumAttempts == 4)
        #expect(short.statuses == RetryOptions().statuses)
    }

    @Test("a decision about another attempt reads as a few words, without the names of types")
    func decisionWords() {
        let verdicts: [RetryDecision.Verdict] = [.retry(after: .seconds(2)), .giveUp(.notIdempotent)]
        #expect(verdicts.map { "\($0)" } == ["retry after 2000 ms", "give up: notIdempotent"])
        let causes: [RetryDecision.Cause] = [.status(503), .error(.attemptTimeout)]
        #expect(causes.map { "\($0)" } == ["status 503", "attemptTimeout"])
    }

    /// The retry options of a client, none of which is the default.
    private var clientRetry: RetryOptions {
        var retry = RetryOptions()
        retry.statuses = [500]
        retry.backoff = .exponential(base: .seconds(3), maximum: .seconds(4))
        retry.budget?.perSecond = 7
        retry.onDecision = { _ in }
        retry.shouldRetry = { _ in .no }
        return retry
    }

    @Test("A request's overrides change what they set and inherit the rest")
    func overrides() {
        var own = RetryOverrides()
        #expect(own.isInherited)
        own.maximumAttempts = 6
        #expect(!own.isInherited)
        let resolved = own.resolved(over: clientRetry)
        #expect(resolved.maximumAttempts == 6)
        #expect(resolved.statuses == [500])
        #expect(resolved.backoff.base == .seconds(3))
        #expect(resolved.backoff.maximum == .seconds(4))
        #expect(resolved.maximumRetryAfter == .seconds(30))
        #expect(resolved.budget?.perSecond == 7)
        #expect(resolved.onDecision != nil)
        #expect(resolved.shouldRetry != nil)
    }

    @Test("A request's overrides can remove the budget and set the pauses to zero")
    func overridesWithoutLimits() {
        var own = RetryOverrides()
        own.budget = .unlimited
        own.maximumRetryAfter = .zero
        own.backoff = .exponential(base: .zero, maximum: .zero)
        let resolved = own.resolved(over: clientRetry)
        #expect(resolved.budget == nil)
        #expect(resolved.maximumRetryAfter == .zero)
        #expect(resolved.backoff.base == .zero)
        #expect(resolved.backoff.maximum == .zero)
    }

    @Test("A request that overrides one pause inherits the others, but not the client's closure for pauses")
    func overridesOfBackoff() {
        var retry = clientRetry
        retry.backoff.custom = { _, _ in .seconds(9) }
        var own = RetryOverrides()
        own.backoff = RetryBackoffOverrides { $0.maximum = .seconds(1) }
        let pauses = own.resolved(over: retry).backoff
        #expect(pauses.base == .seconds(3))
        #expect(pauses.throttledBase == .seconds(3))
        #expect(pauses.maximum == .seconds(1))
        #expect(pauses.custom == nil)
        #expect(RetryOverrides().resolved(over: retry).backoff.custom != nil)
    }

    @Test("A request's redirect overrides change what they set and inherit the rest")
    func overridesOfRedirects() {
        var redirect = RedirectOptions()
        redirect.allowsDowngrade = true
        redirect.sensitiveFields = [.cookie]
        var own = RedirectOverrides()
        own.maximum = 1
        own.sensitiveFields = [.eTag]
        let resolved = own.resolved(over: redirect)
        #expect(resolved.allowsDowngrade)
        #expect(resolved.maximum == 1)
        #expect(resolved.sensitiveFields == [.cookie, .eTag])
    }

    @Test("A request's decompression overrides change what they set and inherit the rest")
    func overridesOfDecompression() {
        var decompression = DecompressionOptions()
        decompression.maximumLayers = 2
        var own = DecompressionOverrides()
        own.maximumBytes = 100
        own.maximumRatio = .unlimited
        let resolved = own.resolved(over: decompression)
        #expect(resolved.maximumBytes == 100)
        #expect(resolved.maximumRatio == nil)
        #expect(resolved.maximumLayers == 2)
        #expect(resolved.isEnabled)
    }

    @Test("a request's set replaces the client's, or changes it")
    func sets() {
        var statuses: SetOverride<Int> = .inherited
        #expect(statuses.resolved(over: [503]) == [503])
        statuses.insert(409)
        statuses.remove(503)
        #expect(statuses.resolved(over: [502, 503]) == [409, 502])
        statuses.insert(503)
        statuses.remove(409)
        #expect(statuses.resolved(over: [502]) == [502, 503])
        statuses = [500]
        statuses.insert(501)
        statuses.remove(500)
        #expect(statuses.resolved(over: [503]) == [501])
        statuses = .inherited
        statuses.remove(503)
        #expect(statuses.resolved(over: [502, 503]) == [502])
        var hops = RedirectOverrides()
        hops.sensitiveFields.insert(.eTag)
        #expect(!hops.isInherited)
        #expect(hops.resolved(over: RedirectOptions()).sensitiveFields.contains(.eTag))
    }

    @Test("overrides of each kind count as set", arguments: 0..<7)
    func eachOverride(number: Int) {
        var retry = RetryOverrides()
        switch number {
        case 0: retry.maximumAttempts = 1
        case 1: retry.statuses = []
        case 2: retry.shouldRetry = { _ in .asUsual }
        case 3: retry.backoff.custom = { _, _ in .zero }
        case 4: retry.maximumRetryAfter = .zero
        case 5: retry.budget = .unlimited
        default: retry.onDecision = { _ in }
        }
        #expect(!retry.isInherited)
    }

    @Test("No limit has one spelling, on a client and on a request: unlimited")
    func unlimited() {
        var timeouts = Timeouts()
        timeouts.total = .unlimited
        var retry = RetryOptions()
        retry.budget = .unlimited
        var decompression = DecompressionOptions()
        decompression.maximumBytes = .unlimited
        #expect(timeouts.total == nil)
        #expect(retry.budget == nil)
        #expect(decompression.maximumBytes == nil)
        let streaming = TimeoutOverrides.streaming.resolved(over: Timeouts())
        #expect(streaming.total == nil)
        #expect(streaming.attempt == nil)
        #expect(streaming.bodyIdle == .seconds(30))
        #expect(streaming.responseHead == .seconds(30))
        #expect(streaming.poolAcquire == .seconds(10))
    }

    @Test("overrides out of range are refused by name")
    func badOverrides() {
        let changes: [(String, (inout RequestOptions) -> Void)] = [
            ("options.retry.maximumAttempts", { $0.retry.maximumAttempts = 0 }),
            ("options.retry.statuses", { $0.retry.statuses = [200] }),
            ("options.retry.backoff.base", { $0.retry.backoff = .exponential(base: .seconds(-1), maximum: .zero) }),
            ("options.retry.maximumRetryAfter", { $0.retry.maximumRetryAfter = .seconds(-1) }),
            (
                "options.retry.budget.ratio",
                {
                    var budget = RetryBudgetOptions()
                    budget.ratio = 2
                    $0.retry.budget = .limited(budget)
                }
            ),
            ("options.redirect.maximum", { $0.redirect.maximum = 101 }),
            ("options.decompression.maximumRatio", { $0.decompression.maximumRatio = 1 }),
            ("options.decompression.maximumBytes", { $0.decompression.maximumBytes = 0 }),
            ("options.decompression.maximumLayers", { $0.decompression.maximumLayers = 17 }),
        ]
        for (path, change) in changes {
            let error = #expect(throws: ServiceError.self) { try RequestOptions(change).validate() }
            #expect(error?.code == .invalidRequest)
            #expect(error?.message.hasPrefix(path) == true, "\(path)")
        }
        #expect(throws: Never.self) { try RequestOptions().validate() }
    }
}
