internal import Bowline
internal import NIOCore
internal import Testing

@testable import BowlineTrust

/// A correct record, which a test then damages.
private struct Sample {
    static let get: UInt64 = 0xA1
    static let post: UInt64 = 0xB2
    static let key = LedgerField("idempotency-key", "k-1")

    static func digest(_ text: String) -> BodyDigest { BodyDigest(ByteBuffer(string: text)) }

    static func sent(_ id: UInt64, _ method: HTTPRequest.Method, isIdempotent: Bool) -> LedgerSent {
        LedgerSent(
            id: id, method: method, target: "/ledger/\(LedgerContent.text(of: id))?q=1",
            fields: [
                LedgerField("x-ledger-id", LedgerContent.text(of: id)), LedgerField("x-ledger-many", "1"),
                LedgerField("x-ledger-many", "2"),
            ],
            trailers: [LedgerField("x-ledger-sum", "3")], body: digest("body \(id)"), isIdempotent: isIdempotent,
            answer: digest("answer \(id)"))
    }

    static func call(_ sent: LedgerSent) -> LedgerCall {
        let answer = LedgerAnswer(status: 200, id: sent.id, saysExecuted: true, body: sent.answer)
        return LedgerCall(
            sent: sent, told: .answered(answer), requestsSent: 1, startedAt: 1_000_000, endedAt: 2_000_000,
            deadlineAt: 1_000_000_000)
    }

    static func execution(_ sent: LedgerSent) -> LedgerExecution {
        LedgerExecution(
            id: sent.id, method: sent.method, target: sent.target,
            fields: [
                LedgerField("host", "127.0.0.1:1"), LedgerField("user-agent", "bowline"),
                LedgerField("content-length", "\(sent.body.length)"),
            ] + sent.fields,
            trailers: sent.trailers, body: sent.body, authority: "127.0.0.1:1")
    }

    /// A GET (call and execution 0) and a POST (1).
    static var record: LedgerRecord {
        let all = [sent(get, .get, isIdempotent: true), sent(post, .post, isIdempotent: false)]
        return LedgerRecord(
            calls: all.map(call), executions: all.map(execution),
            remains: LedgerRemains(descriptorsBefore: 8, descriptorsAfter: 8), authority: "127.0.0.1:1", isCalm: true)
    }

    static let httpProxy = "http://127.0.0.1:8888"
    static var socks: LedgerRoute { route { .socks($0) } }

    /// The route over one proxy; direct if the proxy's URL is invalid, so that tests fail.
    private static func route(_ make: (LedgerProxy) -> LedgerRoute) -> LedgerRoute {
        (try? LedgerProxy(httpProxy)).map(make) ?? .direct
    }

    /// An answer that the forwarding proxy made.
    static let answerOfProxy = LedgerAnswer(
        status: 503, id: nil, saysExecuted: false, body: digest("could not retrieve"), proxy: httpProxy)

    /// Lets the client report this proxy for the first answer.
    static func proxy(_ record: inout LedgerRecord, _ proxy: String?) {
        guard case .answered(var answer) = record.calls[0].told else { return }
        answer.proxy = proxy
        record.calls[0].told = .answered(answer)
    }

    /// Turns a record into one of a route on which a proxy forwards the requests.
    static func forward(_ record: inout LedgerRecord) {
        record.route = route { .forwarded($0) }
        for index in record.calls.indices {
            guard case .answered(var answer) = record.calls[index].told else { continue }
            answer.proxy = httpProxy
            record.calls[index].told = .answered(answer)
        }
        for index in record.executions.indices {
            record.executions[index].fields += [
                LedgerField("via", "1.1 host (tinyproxy/1.11.1)"), LedgerField("connection", "close"),
            ]
        }
    }

    static func rules(_ spoil: (inout LedgerRecord) -> Void) -> [LedgerRule] {
        var record = record
        spoil(&record)
        return LedgerJudge.violations(of: record).map(\.rule)
    }
}

extension LedgerRecord {
    /// Lets calls fail, for tests of what failures mean.
    fileprivate mutating func fail(_ call: Int, _ progress: RequestProgress) {
        isCalm = false
        calls[call].told = .failed(code: "connectionClosed", progress: progress, text: "")
    }
}

@Suite("The ledger's judge")
struct LedgerJudgeTests {
    /// Each rule with a record that violates only this rule.
    private static let spoilers: [(LedgerRule, @Sendable (inout LedgerRecord) -> Void)] = [
        (.answeredNotExecuted, { $0.executions.remove(at: 0) }),
        (.answeredNotExecuted, { $0.executions.remove(at: 1) }),
        (
            .foreignAnswer,
            { $0.calls[0].told = .answered(.init(status: 200, id: 0xB2, saysExecuted: true, body: .empty)) }
        ),
        (
            .foreignAnswer,
            { $0.calls[0].told = .answered(.init(status: 200, id: nil, saysExecuted: true, body: .empty)) }
        ),
        (
            .wrongAnswer,
            {
                let other = Sample.digest("answer 178")
                $0.calls[0].told = .answered(.init(status: 200, id: 0xA1, saysExecuted: true, body: other))
            }
        ),
        (
            .wrongAnswer,
            {
                let other = Sample.digest("rejected 178")
                $0.isCalm = false
                $0.calls[0].told = .answered(.init(status: 503, id: 0xA1, saysExecuted: false, body: other))
            }
        ),
        (
            .wrongAnswer,
            {
                $0.isCalm = false
                let own = $0.calls[0].sent.answer
                $0.calls[0].told = .answered(.init(status: 500, id: 0xA1, saysExecuted: true, body: own))
            }
        ),
        (
            .wrongAnswer,
            {
                let own = $0.calls[0].sent.answer
                $0.calls[0].told = .answered(
                    .init(status: 200, id: 0xA1, saysExecuted: true, body: own, hasItsFields: false))
            }
        ),
        (
            .executedTwice,
            {
                $0.calls[1].requestsSent = 2
                $0.executions.append($0.executions[1])
            }
        ),
        (
            .executedTwice,
            {
                $0.fail(1, .ambiguous)
                $0.calls[1].requestsSent = nil
                $0.executions.append($0.executions[1])
            }
        ),
        (
            .executedTwice,
            {
                $0.calls[1].told = .cancelled
                $0.calls[1].cancelledAt = 1_500_000
                $0.calls[1].requestsSent = nil
                $0.executions.append($0.executions[1])
            }
        ),
        (.executedNeverSent, { $0.fail(0, .neverSent) }),
        (.executedNeverSent, { $0.fail(1, .neverSent) }),
        (.executedRefused, { $0.fail(0, .refused) }),
        (
            .executedRejected,
            {
                $0.isCalm = false
                $0.calls[1].told = .answered(.init(status: 503, id: 0xB2, saysExecuted: false, body: .empty))
            }
        ),
        (.moreThanSent, { $0.executions.append($0.executions[0]) }),
        (.moreThanSent, { $0.calls[0].requestsSent = 0 }),
        (.unknownExecution, { $0.executions.append(Sample.execution(Sample.sent(7, .get, isIdempotent: true))) }),
        (
            .unknownExecution,
            {
                var execution = $0.executions[0]
                execution.id = nil
                $0.executions.append(execution)
            }
        ),
        (.methodDiffers, { $0.executions[0].method = .put }),
        (.targetDiffers, { $0.executions[0].target += "&r=2" }),
        (.targetDiffers, { $0.executions[0].authority = nil }),
        (.targetDiffers, { $0.executions[0].authority = "127.0.0.1:2" }),
        (.fieldsDiffer, { $0.executions[0].fields.removeAll { $0.name == "x-ledger-many" } }),
        (.fieldsDiffer, { $0.executions[0].fields.swapAt(4, 5) }),
        (.fieldsDiffer, { $0.executions[0].fields.append(LedgerField("x-ledger-many", "2")) }),
        (.fieldsDiffer, { $0.executions[0].fields.append(LedgerField("cookie", "a=b")) }),
        (.fieldsDiffer, { $0.executions[0].fields[0] = LedgerField("host", "example.com") }),
        (.fieldsDiffer, { $0.executions[0].fields.append(LedgerField("host", "127.0.0.1:1")) }),
        (.fieldsDiffer, { $0.executions[0].fields[2] = LedgerField("content-length", "0") }),
        (.fieldsDiffer, { $0.executions[0].fields.append(LedgerField("connection", "keep-alive")) }),
        (.fieldsDiffer, { $0.executions[0].fields.append(Sample.key) }),
        (.routeDiffers, { Sample.proxy(&$0, "http://127.0.0.1:9") }),
        (
            .routeDiffers,
            {
                $0.route = Sample.socks
                $0.fail(1, .ambiguous)
            }
        ),
        (
            .routeDiffers,
            {
                Sample.forward(&$0)
                $0.executions[0].fields.removeAll { $0.name == "via" }
            }
        ),
        (.foreignField, { $0.executions[0].fields.append(LedgerField("x-ledger-0000b2-0", "b2")) }),
        (.trailersDiffer, { $0.executions[0].trailers = [] }),
        (.trailersDiffer, { $0.executions[0].trailers.append(LedgerField("x-ledger-sum", "4")) }),
        (.bodyDiffers, { $0.executions[0].body = Sample.digest("body 178") }),
        (
            .keyDiffers,
            {
                for call in 0...1 {
                    $0.calls[call].sent.isKeyed = true
                    $0.executions[call].fields.append(Sample.key)
                }
            }
        ),
        (.keyDiffers, { $0.calls[1].sent.isKeyed = true }),
        (
            .keyDiffers,
            {
                $0.calls[1].sent.isKeyed = true
                $0.calls[1].requestsSent = 2
                var replay = $0.executions[1]
                replay.isReplay = true
                replay.fields.append(LedgerField("idempotency-key", "k-2"))
                $0.executions[1].fields.append(Sample.key)
                $0.executions.append(replay)
            }
        ),
        (.malformedRequest, { $0.malformed = ["a line has a bare CR"] }),
        (.brokenRule, { $0.brokenRules = ["connection 1: the client broke a rule of HTTP/2: FlowControlViolation"] }),
        (.late, { $0.calls[0].endedAt = $0.calls[0].deadlineAt + LedgerJudge.grace + 1 }),
        (
            .late,
            {
                $0.calls[0].cancelledAt = 1_500_000
                $0.calls[0].endedAt = 1_500_000 + LedgerJudge.grace + 1
            }
        ),
        (
            .late,
            {
                $0.shutdownAt = 1_500_000
                $0.calls[0].endedAt = 1_500_000 + LedgerJudge.grace + 1
            }
        ),
        (
            .late,
            {
                $0.shutdownAt = 0
                $0.calls[0].endedAt = $0.calls[0].startedAt + LedgerJudge.grace + 1
            }
        ),
        (
            .notEnded,
            {
                $0.calls[0].told = .nothing
                $0.calls[0].endedAt = nil
            }
        ),
        (.strayCancellation, { $0.calls[0].told = .cancelled }),
        (.unexpectedError, { $0.calls[0].told = .other("POSIXError") }),
        (
            .unexpectedError,
            {
                $0.isCalm = false
                $0.calls[0].told = .failed(code: "protocolViolation", progress: .responseStarted, text: "")
            }
        ),
        (.calmFailure, { $0.calls[0].told = .failed(code: "deadlineExceeded", progress: .ambiguous, text: "") }),
        (
            .calmFailure,
            {
                $0.calls[0].told = .answered(.init(status: 503, id: 0xA1, saysExecuted: false, body: .empty))
            }
        ),
        (.poolNotEmpty, { $0.remains.pooled = 1 }),
        (.callsLeft, { $0.remains.inFlight = 1 }),
        (.callsLeft, { $0.remains.isClosed = false }),
        (.tasksLeft, { $0.remains.tasks = 1 }),
        (.timersLeft, { $0.remains.timers = 1 }),
        (.descriptorsLeft, { $0.remains.descriptorsAfter = 9 }),
    ]

    @Test("A correct record has no violations")
    func clean() {
        #expect(Sample.rules { _ in } == [])
    }

    @Test("The judge finds exactly the violations of each record", arguments: Self.spoilers.indices)
    func violations(index: Int) {
        let (rule, spoil) = Self.spoilers[index]
        #expect(Sample.rules(spoil) == [rule])
    }

    @Test("Each rule of the judge is violated by one of the records")
    func complete() {
        // These two rules concern the whole run.
        let others: Set<LedgerRule> = [.memoryGrew, .hang]
        #expect(Set(Self.spoilers.map(\.0)).union(others) == Set(LedgerRule.allCases))
    }

    @Test("Allowed outcomes are no violations")
    func allowed() {
        let ambiguous = Sample.rules { $0.fail(1, .ambiguous) }
        #expect(ambiguous == [], "an ambiguous POST may have been executed once")
        let lost = Sample.rules {
            $0.fail(1, .ambiguous)
            $0.executions.remove(at: 1)
        }
        #expect(lost == [], "and may not have been")
        let repeated = Sample.rules {
            $0.calls[0].requestsSent = 2
            $0.executions.append($0.executions[0])
        }
        #expect(repeated == [], "a GET may be executed twice")
        let rejected = Sample.rules {
            $0.isCalm = false
            $0.calls[0].told = .answered(.init(status: 503, id: 0xA1, saysExecuted: false, body: .empty))
        }
        #expect(rejected == [], "a GET may be executed before an attempt of it is rejected")
        let replayed = Sample.rules {
            $0.calls[1].sent.isKeyed = true
            $0.calls[1].sent.isIdempotent = true
            $0.calls[1].requestsSent = 2
            $0.executions[1].fields.append(Sample.key)
            var replay = $0.executions[1]
            replay.isReplay = true
            $0.executions.append(replay)
        }
        #expect(replayed == [], "a POST with a key may come twice, and is executed once")
        let inTime = Sample.rules {
            $0.calls[0].endedAt = $0.calls[0].deadlineAt + LedgerJudge.grace
            $0.calls[1].cancelledAt = 1_500_000
            $0.calls[1].endedAt = 1_500_000 + LedgerJudge.grace
        }
        #expect(inTime == [], "the grace is part of the limit")
    }

    @Test("A proxy that forwards requests may add Via, drop repeated fields and answer itself; a tunnel may not")
    func forwarded() {
        #expect(Sample.rules { Sample.forward(&$0) } == [])
        let shortened = Sample.rules {
            Sample.forward(&$0)
            $0.executions[0].fields.removeAll { $0 == LedgerField("x-ledger-many", "2") }
        }
        #expect(shortened == [], "tinyproxy forwards only the first of several fields with one name")
        let wrongHalf = Sample.rules {
            Sample.forward(&$0)
            $0.executions[0].fields.removeAll { $0 == LedgerField("x-ledger-many", "1") }
        }
        #expect(wrongHalf == [.fieldsDiffer], "but never only the second")
        let answered = Sample.rules {
            Sample.forward(&$0)
            $0.isCalm = false
            $0.calls[1].told = .answered(Sample.answerOfProxy)
        }
        #expect(answered == [], "the service may have executed a request that the proxy answers")
        let calm = Sample.rules {
            Sample.forward(&$0)
            $0.calls[1].told = .answered(Sample.answerOfProxy)
        }
        #expect(calm == [.calmFailure])
        let twice = Sample.rules {
            Sample.forward(&$0)
            $0.isCalm = false
            $0.calls[1].told = .answered(Sample.answerOfProxy)
            $0.executions.append($0.executions[1])
        }
        #expect(twice == [.executedTwice, .moreThanSent], "the service must not execute such a request twice")
        let via = Sample.rules { $0.executions[0].fields.append(LedgerField("via", "1.1 host")) }
        #expect(via == [.fieldsDiffer], "without a forwarding proxy nothing adds Via")
        let credentials = Sample.rules {
            Sample.forward(&$0)
            $0.executions[0].fields.append(LedgerField("proxy-authorization", "Basic YTpi"))
        }
        #expect(credentials == [.fieldsDiffer], "credentials for the proxy must not reach the service")
    }

    @Test("A violation names its request as in the target")
    func description() throws {
        var record = Sample.record
        record.executions[0].target = "/"
        let violation = try #require(LedgerJudge.violations(of: record).first)
        #expect(violation.description == "target differs [00000000000000a1]: / instead of /ledger/00000000000000a1?q=1")
    }
}
