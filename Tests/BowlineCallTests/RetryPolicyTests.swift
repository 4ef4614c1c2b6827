import BowlineCore
import Testing

@testable import BowlineCall

@Suite("Retry policy")
struct RetryPolicyTests {
    private func verdict(
        _ cause: RetryDecision.Cause, _ progress: RequestProgress, isIdempotent: Bool = true, isReplayable: Bool = true,
        retries: Int = 0, remaining: Duration? = nil, retryAfter: Duration? = nil, random: Double = 0.5,
        _ change: (inout RetryOptions) -> Void = { _ in }
    ) -> RetryDecision.Verdict {
        var options = RetryOptions()
        change(&options)
        let failure = RetryPolicy.Failure(cause: cause, progress: progress, retryAfter: retryAfter)
        return RetryPolicy(options: options).verdict(
            after: failure, isIdempotent: isIdempotent, isReplayable: isReplayable, retries: retries,
            remaining: remaining, random: random)
    }

    @Test(
        "A retryable status allows another attempt for idempotent requests only", .tags(.RT14),
        arguments: [408, 429, 502, 503, 504])
    func statuses(status: Int) {
        guard case .retry = verdict(.status(status), .responseStarted) else {
            Issue.record("no retry after \(status)")
            return
        }
        #expect(verdict(.status(status), .responseStarted, isIdempotent: false) == .giveUp(.notIdempotent))
    }

    @Test(
        "An error that would repeat is never retried", .tags(.RT20),
        arguments: [
            ServiceError.Code.tlsHandshakeFailed, .invalidURL, .invalidRequest, .protocolViolation,
            .responseLimitExceeded,
            .shuttingDown, .forciblyClosed, .deadlineExceeded, .poolSaturated, .poolAcquireTimeout, .requestBodyFailed,
            .requestBodyLengthMismatch, .requestBodyConsumed, .decompressionFailed, .decompressionLimitExceeded,
            .redirectRefused, .tooManyRedirects, .authenticationFailed, .decodingFailed, .encodingFailed,
            .proxyAuthenticationRequired,
        ])
    func never(code: ServiceError.Code) {
        #expect(verdict(.error(code), .neverSent) == .giveUp(.notRetryable))
    }

    @Test(
        "A failed dial may be retried for every method, because nothing was sent", .tags(.RT21),
        arguments: [
            ServiceError.Code.nameResolutionFailed, .connectionRefused, .connectFailed, .connectTimeout,
            .proxyFailed,
        ])
    func dials(code: ServiceError.Code) {
        guard case .retry = verdict(.error(code), .neverSent, isIdempotent: false) else {
            Issue.record("no retry")
            return
        }
    }

    @Test("The longest representable delays do not trap")
    func endless() {
        let endless = Duration.seconds(Int64.max) * 10
        for retries in [0, 1, 62, Int.max] {
            let verdict = verdict(.error(.connectionClosed), .neverSent, retries: retries, random: 1) {
                $0.maximumAttempts = Int.max
                $0.backoff = .exponential(base: endless, maximum: endless)
            }
            guard retries < Int.max else { continue }
            guard case .retry(let delay) = verdict else {
                Issue.record("no retry after \(retries)")
                return
            }
            #expect(delay > .seconds(3_000_000_000))
            #expect(delay < .seconds(3_200_000_000))
        }
    }

    @Test("the idempotency gate: ambiguous and begun responses for idempotent requests, refused ones for any")
    func gate() {
        #expect(verdict(.error(.connectionClosed), .ambiguous, isIdempotent: false) == .giveUp(.notIdempotent))
        #expect(verdict(.error(.connectionClosed), .responseStarted, isIdempotent: false) == .giveUp(.notIdempotent))
        for progress in RequestProgress.allCases {
            #expect(verdict(.error(.connectionClosed), progress) == .retry(after: .milliseconds(25)))
        }
        #expect(verdict(.error(.connectionClosed), .refused, isIdempotent: false) == .retry(after: .milliseconds(25)))
    }

    @Test("maximumAttempts counts the first; a body that is gone, a deadline and a long Retry-After end it")
    func ends() {
        #expect(verdict(.status(502), .responseStarted, retries: 2) == .giveUp(.attemptsExhausted))
        #expect(verdict(.status(502), .responseStarted, retries: 1) == .retry(after: .milliseconds(50)))
        #expect(verdict(.status(502), .responseStarted) { $0.maximumAttempts = 1 } == .giveUp(.attemptsExhausted))
        #expect(verdict(.status(502), .responseStarted, isReplayable: false) == .giveUp(.bodyNotReplayable))
        #expect(verdict(.status(502), .responseStarted, remaining: .milliseconds(25)) == .giveUp(.deadline))
        #expect(
            verdict(.status(502), .responseStarted, remaining: .milliseconds(26)) == .retry(after: .milliseconds(25)))
        #expect(
            verdict(.status(503), .responseStarted, retryAfter: .seconds(31)) == .giveUp(.retryAfterTooLong))
        #expect(
            verdict(.status(503), .responseStarted, remaining: .seconds(10), retryAfter: .seconds(10))
                == .giveUp(.deadline))
    }

    @Test("The backoff has full jitter, and its upper end doubles up to the cap", .tags(.RT16))
    func backoff() {
        let expected = [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 20000, 20000]
        for (retries, upper) in expected.enumerated() {
            let all = verdict(.status(502), .responseStarted, retries: retries, random: 1) { $0.maximumAttempts = 100 }
            #expect(all == .retry(after: .milliseconds(upper)))
            let none = verdict(.status(502), .responseStarted, retries: retries, random: 0) { $0.maximumAttempts = 100 }
            #expect(none == .retry(after: .zero))
        }
        // A plain 503 is no throttling.
        for (status, upper) in [(429, Duration.seconds(1)), (503, .milliseconds(50)), (504, .milliseconds(50))] {
            #expect(verdict(.status(status), .responseStarted, random: 1) == .retry(after: upper))
        }
        let last = verdict(.status(502), .responseStarted, retries: 98, random: 1) { $0.maximumAttempts = 100 }
        #expect(last == .retry(after: .seconds(20)))
    }

    /// A wait after `Retry-After`, drawn with 0, 0.5 and 1.
    struct AskedWait: Sendable, CustomTestStringConvertible {
        var asked: Duration
        var status = 503
        var retries = 0
        var maximum = Duration.seconds(30)
        var expected: [Duration]

        var testDescription: String { "\(asked) after \(status), \(retries) retries, at most \(maximum)" }
    }

    @Test(
        "Retry-After is a floor; the wait adds a random part of the backoff, and at least of a tenth of Retry-After",
        .tags(.RT14),
        arguments: [
            AskedWait(asked: .seconds(1), expected: [.seconds(1), .milliseconds(1500), .seconds(2)]),
            AskedWait(asked: .seconds(7), expected: [.seconds(7), .milliseconds(7500), .seconds(8)]),
            AskedWait(asked: .seconds(7), status: 429, retries: 1, expected: [.seconds(7), .seconds(8), .seconds(9)]),
            // A tenth is more than the backoff.
            AskedWait(asked: .seconds(20), expected: [.seconds(20), .seconds(21), .seconds(22)]),
            AskedWait(
                asked: .seconds(7), status: 502, expected: [.seconds(7), .milliseconds(7350), .milliseconds(7700)]),
            AskedWait(
                asked: .milliseconds(1), expected: [.milliseconds(1), .milliseconds(501), .milliseconds(1001)]),
            // The wait exceeds the maximum by at most a tenth of it, however long the backoff.
            AskedWait(
                asked: .seconds(30), retries: 9, expected: [.seconds(30), .milliseconds(31_500), .seconds(33)]),
            AskedWait(
                asked: .seconds(23), retries: 9, expected: [.seconds(23), .seconds(28), .seconds(33)]),
            AskedWait(
                asked: .seconds(1), retries: 9, maximum: .seconds(2),
                expected: [.seconds(1), .milliseconds(1600), .milliseconds(2200)]),
            // Without a wait the usual backoff applies.
            AskedWait(asked: .zero, expected: [.zero, .milliseconds(500), .seconds(1)]),
            AskedWait(asked: .zero, maximum: .zero, expected: [.zero, .milliseconds(500), .seconds(1)]),
        ])
    func askedWait(wait: AskedWait) {
        for (random, expected) in zip([0, 0.5, 1], wait.expected) {
            let verdict = verdict(
                .status(wait.status), .responseStarted, retries: wait.retries, retryAfter: wait.asked, random: random
            ) {
                $0.maximumAttempts = 100
                $0.maximumRetryAfter = wait.maximum
            }
            #expect(verdict == .retry(after: expected), "drawn with \(random)")
        }
    }

    @Test("The backoff has three forms: one base for all, another when throttled, a closure's own wait")
    func backoffShapes() {
        func waits(_ backoff: RetryBackoff, _ status: Int, retryAfter: Duration? = nil) -> [RetryDecision.Verdict] {
            (0..<3).map { retries in
                verdict(.status(status), .responseStarted, retries: retries, retryAfter: retryAfter, random: 1) {
                    $0.backoff = backoff
                    $0.maximumAttempts = 9
                }
            }
        }
        func expected(_ milliseconds: Int...) -> [RetryDecision.Verdict] {
            milliseconds.map { .retry(after: .milliseconds($0)) }
        }
        let plain = RetryBackoff.exponential(base: .milliseconds(100), maximum: .milliseconds(300))
        for status in [429, 502, 503] { #expect(waits(plain, status) == expected(100, 200, 300)) }
        let throttled = RetryBackoff.exponential(
            base: .milliseconds(10), throttledBase: .milliseconds(100), maximum: .milliseconds(300))
        #expect(waits(throttled, 429) == expected(100, 200, 300))
        for status in [502, 503] { #expect(waits(throttled, status) == expected(10, 20, 40)) }
        // The throttled base above the floor: 1 ms, and up to 100, 200, 300 ms.
        let floor = Duration.milliseconds(1)
        #expect(waits(throttled, 503, retryAfter: floor) == expected(101, 201, 301))
        #expect(waits(throttled, 502, retryAfter: floor) == expected(11, 21, 41))
    }

    @Test(
        "A closure's wait is used as it is, but not below Retry-After with its spread, and it never traps",
        arguments: [
            (Duration.seconds(3), Duration?.none, Duration.seconds(3)), (.seconds(-3), nil, .zero),
            (.seconds(3), .seconds(20), .seconds(21)), (.seconds(25), .seconds(20), .seconds(25)),
            (.seconds(3), .zero, .seconds(3)), (.seconds(Int64.max), nil, .seconds(3_155_760_000)),
        ])
    func customDelay(delay: Duration, retryAfter: Duration?, expected: Duration) {
        var failure = RetryPolicy.Failure(cause: .status(503), progress: .responseStarted, retryAfter: retryAfter)
        failure.customDelay = delay
        let verdict = RetryPolicy(options: RetryOptions()).verdict(
            after: failure, isIdempotent: true, isReplayable: true, retries: 0, remaining: nil, random: 0.5)
        #expect(verdict == .retry(after: expected))
    }

    /// A failure that `shouldRetry` was asked about, and the policy's verdict.
    struct AnsweredFailure: Sendable {
        let answer: RetryAnswer
        let cause: RetryDecision.Cause
        let progress: RequestProgress
        var isIdempotent = true
        var isReplayable = true
        var isOwn = true
        var retries = 0
        var remaining: Duration?
        var retryAfter: Duration?
        let verdict: RetryDecision.Verdict
    }

    static let answeredFailures: [AnsweredFailure] = [
        AnsweredFailure(
            answer: .yes, cause: .status(404), progress: .responseStarted, verdict: .retry(after: .zero)),
        AnsweredFailure(
            answer: .yes, cause: .error(.protocolViolation), progress: .ambiguous, verdict: .retry(after: .zero)),
        AnsweredFailure(
            answer: .yes, cause: .error(.connectionClosed), progress: .ambiguous, isOwn: false,
            verdict: .retry(after: .zero)),
        AnsweredFailure(
            answer: .asUsual, cause: .error(.connectionClosed), progress: .ambiguous, isOwn: false,
            verdict: .giveUp(.notRetryable)),
        AnsweredFailure(
            answer: .asUsual, cause: .error(.protocolViolation), progress: .ambiguous,
            verdict: .giveUp(.notRetryable)),
        AnsweredFailure(
            answer: .no, cause: .status(503), progress: .responseStarted, verdict: .giveUp(.declined)),
        AnsweredFailure(
            answer: .no, cause: .error(.connectionRefused), progress: .neverSent, verdict: .giveUp(.declined)),
        AnsweredFailure(
            answer: .yes, cause: .status(404), progress: .responseStarted, isIdempotent: false,
            verdict: .giveUp(.notIdempotent)),
        AnsweredFailure(
            answer: .yes, cause: .error(.protocolViolation), progress: .neverSent, isIdempotent: false,
            verdict: .retry(after: .zero)),
        AnsweredFailure(
            answer: .yes, cause: .status(404), progress: .responseStarted, isReplayable: false,
            verdict: .giveUp(.bodyNotReplayable)),
        AnsweredFailure(
            answer: .yes, cause: .status(404), progress: .responseStarted, retries: 2,
            verdict: .giveUp(.attemptsExhausted)),
        AnsweredFailure(
            answer: .yes, cause: .error(.deadlineExceeded), progress: .ambiguous, remaining: .zero,
            verdict: .giveUp(.deadline)),
        AnsweredFailure(
            answer: .yes, cause: .status(404), progress: .responseStarted, retryAfter: .seconds(31),
            verdict: .giveUp(.retryAfterTooLong)),
    ]

    @Test(
        "A yes allows a retry of more failures and lifts no other rule; a no ends the retries",
        arguments: answeredFailures)
    func answers(row: AnsweredFailure) {
        var failure = RetryPolicy.Failure(cause: row.cause, progress: row.progress, retryAfter: row.retryAfter)
        failure.answer = row.answer
        failure.isOwn = row.isOwn
        let verdict = RetryPolicy(options: RetryOptions()).verdict(
            after: failure, isIdempotent: row.isIdempotent, isReplayable: row.isReplayable, retries: row.retries,
            remaining: row.remaining, random: 0)
        #expect(verdict == row.verdict)
    }

    @Test("The longest representable Retry-After does not trap")
    func endlessRetryAfter() {
        let asked = Duration.seconds(1_000_000_000_000)
        let verdict = verdict(.status(503), .responseStarted, retryAfter: asked, random: 1) {
            $0.maximumRetryAfter = .seconds(Int64.max) * 10
        }
        guard case .retry(let delay) = verdict else {
            Issue.record("\(verdict)")
            return
        }
        // The multiplication of such a long span loses the last digits.
        #expect(delay > asked + asked / 11)
        #expect(delay <= asked + asked / 9)
    }

    @Test(
        "Retry-After as seconds and fractions of them, three forms of date, in the past, garbage, negative, 10^12 and beyond",
        .tags(.RT14),
        arguments: [
            ("7", Duration.seconds(7)), (" 7 ", .seconds(7)), ("0", .zero), ("-7", nil), ("7s", nil),
            ("", nil), ("2.5", .milliseconds(2500)), ("7.0", .seconds(7)), (" 0.001 ", .milliseconds(1)),
            ("0.0000000019", .nanoseconds(1)), ("1.999999999999999999999999", Duration.nanoseconds(1_999_999_999)),
            ("007.50", .milliseconds(7500)), ("7.", nil), (".5", nil), ("1.5.2", nil), ("1.5s", nil), ("1,5", nil),
            ("1 .5", nil), ("1. 5", nil), ("1.-5", nil), ("1e3", nil), ("-1.5", nil),
            (
                "1000000000000000000000.5",
                Duration(secondsComponent: 1_000_000_000_000, attosecondsComponent: 500_000_000_000_000_000)
            ),
            ("soon", nil), ("1000000000000", .seconds(1_000_000_000_000)),
            ("99999999999999999999999999", .seconds(1_000_000_000_000)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", .seconds(10)), ("Sunday, 06-Nov-94 08:49:47 GMT", .seconds(10)),
            ("Sun Nov  6 08:49:47 1994", .seconds(10)), ("Sun, 06 Nov 1994 08:49:27 GMT", .zero),
            ("Sun, 06 Nov 1994 08:49:47 PST", nil), ("Sun, 32 Nov 1994 08:49:47 GMT", nil),
            ("Sun, 06 Nov 1994 24:49:47 GMT", nil), ("Thu, 29 Feb 2096 00:00:00 GMT", .seconds(3_197_200_223)),
        ] as [(String, Duration?)])
    func retryAfter(value: String, expected: Duration?) {
        var fields = HTTPFields()
        fields[.retryAfter] = value
        // The clock says 1994-11-06 08:49:37.
        #expect(RetryAfter.delay(asked: ReceivedFields(fields), wallClock: { 784_111_777 }) == expected)
    }

    @Test("Retry-After as a date is measured against the response's own Date; of several the longest counts")
    func retryAfterDate() {
        var fields: HTTPFields = [.date: "Sun, 06 Nov 1994 08:49:40 GMT"]
        fields.append(HTTPField(name: .retryAfter, value: "Sun, 06 Nov 1994 08:49:47 GMT"))
        #expect(RetryAfter.delay(asked: ReceivedFields(fields), wallClock: { 0 }) == .seconds(7))
        fields.append(HTTPField(name: .retryAfter, value: "9"))
        fields.append(HTTPField(name: .retryAfter, value: "nonsense"))
        #expect(RetryAfter.delay(asked: ReceivedFields(fields), wallClock: { 0 }) == .seconds(9))
    }
}
