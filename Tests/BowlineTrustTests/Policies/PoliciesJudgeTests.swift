internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

/// The judge finds each violation in a record that has one.
@Suite("The judge of the policies")
struct PoliciesJudgeTests {
    private static let zero = MonotonicInstant(nanoseconds: 0)

    private static func at(_ milliseconds: Int) -> MonotonicInstant { zero.advanced(by: .milliseconds(milliseconds)) }

    /// A record without a violation: a POST that took 10 ms and was answered.
    private func record(_ change: (inout PoliciesPlan) -> Void = { _ in }) -> PoliciesRecord {
        var call = PoliciesCall(number: 0)
        call.method = .post
        call.total = .seconds(1)
        var plan = PoliciesPlan(calls: [call])
        change(&plan)
        var record = PoliciesRecord(plan: plan)
        for call in plan.calls {
            var made = PoliciesCallRecord(call: call)
            made.began = Self.zero
            made.ended = Self.at(10)
            made.endings = 1
            made.told = .answered(PoliciesAnswer(number: call.number))
            record.calls.append(made)
            record.steps.append(PoliciesMoment(at: Self.zero, step: .callBegan(call.number)))
            send(&record, call: call.number, from: 0, to: 10)
        }
        return record
    }

    /// Adds an attempt that was answered.
    private func send(
        _ record: inout PoliciesRecord, call: Int = 0, hop: Int = 0, attempt: Int = 1, isHedge: Bool = false,
        server: String = "host0.test", from: Int, to end: Int, _ change: (inout PoliciesArrival) -> Void = { _ in }
    ) {
        let plan = record.plan
        var arrival = PoliciesArrival(
            call: call, method: plan.calls[call].method, hop: hop, number: record.arrivals.count + 1,
            attempt: attempt, isHedge: isHedge, server: server, named: server, sent: Self.at(from), hasToken: false)
        arrival.left = Self.at(end)
        arrival.isReceived = true
        arrival.isExecuted = true
        arrival.status = 200
        change(&arrival)
        record.arrivals.append(arrival)
        let place = record.arrivals.count - 1
        record.steps.append(PoliciesMoment(at: Self.at(from), step: .sent(place)))
        record.steps.append(PoliciesMoment(at: Self.at(end), step: .left(place)))
        record.steps.sort { $0.at < $1.at }
    }

    private func violations(_ change: (inout PoliciesRecord) -> Void) -> [String] {
        violations({ _ in }, change)
    }

    private func violations(
        _ plan: (inout PoliciesPlan) -> Void, _ change: (inout PoliciesRecord) -> Void
    ) -> [String] {
        var record = record(plan)
        change(&record)
        return PoliciesJudge(record).violations
    }

    /// The violations after the call failed with this error.
    private func failed(
        _ code: ServiceError.Code, _ progress: RequestProgress = .ambiguous, requestsSent: Int = 1,
        gate: ServiceGate? = nil, reason: GateRefusal.Reason = .open, retryAfter: Duration? = nil, scope: String? = nil,
        _ plan: (inout PoliciesPlan) -> Void = { _ in }, _ change: (inout PoliciesRecord) -> Void = { _ in }
    ) throws -> [String] {
        var failure = PoliciesFailure(code: code.rawValue, progress: progress, requestsSent: requestsSent)
        if let gate {
            let origin = try ServiceURL("http://host0.test").origin
            failure.refusal = GateRefusal(
                gate: gate, scope: PolicyScope(origin: origin, name: scope), reason: reason, retryAfter: retryAfter)
            failure.retryAfter = retryAfter
        }
        return violations(plan) { record in
            record.calls[0].told = .failed(failure)
            change(&record)
        }
    }

    private func unsent(_ record: inout PoliciesRecord) {
        record.arrivals = []
        record.steps.removeAll { if case .callBegan = $0.step { false } else { true } }
    }

    private static func retries(_ plan: inout PoliciesPlan) {
        plan.calls[0].method = .get
        plan.retry.maximumAttempts = 3
    }

    // MARK: Calls

    @Test("A record without a fault has no violation")
    func clean() {
        #expect(violations { _ in } == [])
    }

    @Test("A call that ends twice or never is a violation", arguments: [0, 2])
    func endings(count: Int) {
        #expect(violations { $0.calls[0].endings = count } == ["call 0 has ended \(count) times"])
    }

    @Test("A POST that was executed twice is a violation, unless it may be repeated")
    func twice() {
        let both: (inout PoliciesRecord) -> Void = {
            send(&$0, from: 2, to: 3) { $0.status = 401 }
            $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 2))
            $0.arrivals[0].status = 401
        }
        #expect(violations(both) == ["POST 0 was executed 2 times"])
        #expect(violations({ $0.calls[0].isKeyed = true }, both) == [])
        #expect(violations({ $0.calls[0].isMarkedIdempotent = true }, both) == [])
        #expect(violations({ $0.calls[0].method = .put }, both) == [])
    }

    @Test("An answer of another call, a success without an execution, and a wrong number of requests are violations")
    func answers() {
        #expect(
            violations { $0.calls[0].told = .answered(PoliciesAnswer(number: 1)) } == ["call 0 got the answer of 1"])
        #expect(violations { $0.arrivals[0].isExecuted = false } == ["call 0 succeeded and was not executed"])
        #expect(
            violations { $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 2)) }
                == ["call 0 says that 2 requests were sent, not 1"])
        #expect(
            violations { $0.calls[0].told = .answered(PoliciesAnswer(number: 0, bodyError: "protocolViolation")) }.count
                == 1)
    }

    @Test("A call that ends or is sent after its deadline is a violation; the deadline of the caller's task counts")
    func late() {
        #expect(
            violations { $0.calls[0].ended = Self.at(1_001) } == ["call 0 ended 0.001 seconds after its deadline"])
        #expect(
            violations({ $0.calls[0].inherited = .milliseconds(9) }, { _ in })
                == ["call 0 ended 0.001 seconds after its deadline"])
        #expect(
            violations {
                self.send(&$0, from: 1_001, to: 1_001) { $0.isExecuted = false }
                $0.arrivals[0].status = 401
                $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 2))
            } == ["call 0 was sent 0.001 seconds after its deadline"])
    }

    @Test("A call that goes on after its cancellation, or is cancelled without a cause, is a violation")
    func cancellation() {
        #expect(
            violations { $0.calls[0].cancelled = Self.at(9) } == ["call 0 ended 0.001 seconds after it was cancelled"])
        #expect(violations { $0.calls[0].told = .cancelled } == ["call 0 was cancelled, and nothing cancelled it"])
        #expect(
            violations {
                $0.calls[0].cancelled = Self.at(10)
                $0.calls[0].told = .cancelled
            } == [])
        #expect(violations { $0.calls[0].told = .other("text") } == ["call 0 failed with text"])
    }

    @Test("A token for another origin, or for a hop after another origin, is a violation")
    func tokens() {
        let hosts: (inout PoliciesPlan) -> Void = {
            $0.hosts = ["host0.test", "host1.test"]
            $0.calls[0].method = .get
        }
        #expect(
            violations(hosts) {
                self.send(&$0, hop: 1, server: "host1.test", from: 2, to: 3) { $0.hasToken = true }
                $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 2))
            } == ["call 0 took a token to hop 1 at host1.test"])
        #expect(
            violations(hosts) {
                self.send(&$0, hop: 1, server: "host1.test", from: 2, to: 3)
                self.send(&$0, hop: 2, from: 4, to: 5) { $0.hasToken = true }
                $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 3))
            } == ["call 0 took a token to hop 2 at host0.test"])
        #expect(violations(hosts) { $0.arrivals[0].hasToken = true } == [])
    }

    // MARK: Errors

    @Test("A request that the service has seen did not fail as never sent, and an executed one not as refused")
    func progress() throws {
        #expect(
            try failed(.connectionClosed, .neverSent)
                == ["call 0 failed with connectionClosed neverSent, and the service has seen it"])
        #expect(
            try failed(.connectionClosed, .refused)
                == ["call 0 failed with connectionClosed refused, and was executed"])
        #expect(try failed(.connectionClosed, .ambiguous) == [])
        #expect(try failed(.connectionClosed, requestsSent: 2).count == 1)
    }

    @Test("An error that nothing causes is a violation")
    func unexplained() throws {
        for code: ServiceError.Code in [.protocolViolation, .shuttingDown, .forciblyClosed, .authenticationFailed] {
            #expect(
                try failed(code) == ["call 0 failed with \(code.rawValue) ambiguous, which nothing causes"], "\(code)")
        }
        #expect(try failed(.noEndpoint).count == 1)
        #expect(try failed(.noEndpoint) { $0.endpoints = PoliciesPlan.Endpoints(all: []) } == [])
        #expect(try failed(.authenticationFailed) { $0.tokens = SimulationPlan.Tokens() } == [])
    }

    @Test("The error of a gate names the gate, its scope, and when to come back")
    func refusals() throws {
        let breaker: (inout PoliciesPlan) -> Void = { $0.resilience.breaker = BreakerOptions() }
        let after = Duration.seconds(1)
        func refused(
            _ gate: ServiceGate? = .breaker, _ reason: GateRefusal.Reason = .open, _ retryAfter: Duration? = after,
            scope: String? = nil, _ progress: RequestProgress = .neverSent
        ) throws -> [String] {
            try failed(
                .circuitOpen, progress, requestsSent: 0, gate: gate, reason: reason, retryAfter: retryAfter,
                scope: scope, breaker, unsent)
        }
        #expect(try refused() == [])
        #expect(try refused(nil).count == 1)
        #expect(try refused(.rate).contains { $0.contains("names the gate rate") })
        #expect(try refused(.breaker, .open, nil).count == 1)
        #expect(try refused(.breaker, .isolated).count == 1)
        #expect(try refused(.breaker, .isolated, nil) == [])
        #expect(try refused(scope: "a").count == 1)
        #expect(try refused(.breaker, .open, after, .ambiguous).count == 1)
        #expect(
            try failed(
                .circuitOpen, .neverSent, requestsSent: 0, gate: .breaker, retryAfter: after, { _ in }, unsent)
                == ["call 0 failed with circuitOpen neverSent, which nothing causes"])
    }

    // MARK: Retries and hedges

    /// A GET that was sent twice: a 503, then a 200.
    private func retried(_ record: inout PoliciesRecord, isGranted: Bool = true) {
        record.arrivals[0].status = 503
        record.arrivals[0].isExecuted = false
        send(&record, attempt: 2, from: 20, to: 21)
        record.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 2))
        record.calls[0].ended = Self.at(21)
        guard isGranted else { return }
        let steps: [PoliciesStep] = [
            .retryGranted(host: "host0.test", call: 0, hop: 0, attempt: 1, isFree: false),
            .retryBegan(call: 0, hop: 0, attempt: 1),
        ]
        record.steps += steps.map { PoliciesMoment(at: Self.at(20), step: $0) }
        record.steps.sort { $0.at < $1.at }
    }

    @Test("An attempt that is no retry, no hedge and follows no 401 is a violation")
    func unaccounted() {
        #expect(violations(Self.retries) { self.retried(&$0) } == [])
        #expect(
            violations(Self.retries) { self.retried(&$0, isGranted: false) }
                == ["hop 0 of call 0 was sent 2 times, and 1 are granted"])
    }

    @Test("More retries, hedges or redirects than the options allow are violations")
    func tooMany() {
        #expect(
            violations {
                $0.retry.maximumAttempts = 1
                $0.calls[0].method = .get
            } _: {
                self.retried(&$0)
            } == ["call 0 made 1 retries of a hop, more than 0"])
        let hedge = PoliciesStep.hedgeBegan(host: "host0.test", call: 0, hop: 0, attempt: 1, hedge: 1)
        let hedged: (inout PoliciesRecord) -> Void = {
            $0.steps.append(PoliciesMoment(at: Self.at(5), step: hedge))
        }
        #expect(violations(hedged) == ["call 0 made 1 hedges, more than 0"])
        #expect(violations({ $0.resilience.hedging = HedgingOptions() }, hedged) == [])
        #expect(
            violations {
                $0.redirects = 0
            } _: {
                self.send(&$0, hop: 1, from: 2, to: 3) { $0.isExecuted = false }
                $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: 2))
            } == ["call 0 followed 1 redirects"])
    }

    @Test("A retry or a hedge beyond the budget is a violation; what was returned does not count")
    func budget() {
        func judge(ratio: Double, perSecond: Int = 0, _ steps: [PoliciesStep]) -> [String] {
            violations {
                Self.retries(&$0)
                $0.retry.maximumAttempts = 9
                $0.resilience.hedging = HedgingOptions { $0.maximumHedges = 9 }
                $0.retry.budget?.ratio = ratio
                $0.retry.budget?.perSecond = perSecond
            } _: {
                $0.steps += steps.map { PoliciesMoment(at: Self.at(10), step: $0) }
                // The retries and the hedges were sent.
                for case .retryBegan(_, _, let attempt) in steps {
                    self.send(&$0, attempt: attempt + 1, from: 10, to: 11) { $0.isExecuted = false }
                }
                for case .hedgeBegan in steps {
                    self.send(&$0, isHedge: true, from: 10, to: 11) { $0.isExecuted = false }
                }
                let sent = $0.arrivals.count
                $0.calls[0].told = .answered(PoliciesAnswer(number: 0, requestsSent: sent))
            }
        }
        func retry(_ attempt: Int, isFree: Bool = false) -> [PoliciesStep] {
            [
                .retryGranted(host: "host0.test", call: 0, hop: 0, attempt: attempt, isFree: isFree),
                .retryBegan(call: 0, hop: 0, attempt: attempt),
            ]
        }
        let hedge = PoliciesStep.hedgeBegan(host: "host0.test", call: 0, hop: 0, attempt: 1, hedge: 1)
        let refused = PoliciesStep.hedgeRefused(call: 0, hop: 0, attempt: 1, hedge: 1)
        #expect(judge(ratio: 1, retry(1)) == [])
        #expect(judge(ratio: 0, retry(1)) == ["retry 1 exceeds the budget of 0"])
        #expect(judge(ratio: 0, retry(1, isFree: true)) == [])
        #expect(judge(ratio: 1, retry(1) + retry(2)) == ["retry 2 exceeds the budget of 1"])
        #expect(judge(ratio: 1, retry(1) + [hedge]) == ["retry 2 exceeds the budget of 1"])
        #expect(judge(ratio: 1, [hedge, refused] + retry(1)) == [])
        // Nothing was sent after the first grant.
        #expect(judge(ratio: 1, Array(retry(5).prefix(1)) + retry(1)) == [])
    }

    // MARK: The drain

    @Test("A retry, a hedge or a second attempt that begins while the client drains is a violation")
    func drain() {
        let drained = PoliciesMoment(at: Self.at(19), step: .drainBegan)
        func during(_ moment: PoliciesMoment) -> [String] {
            violations {
                Self.retries(&$0)
                $0.resilience.hedging = HedgingOptions()
            } _: {
                $0.steps += [drained, moment]
            }
        }
        func moment(_ step: PoliciesStep) -> PoliciesMoment { PoliciesMoment(at: Self.at(20), step: step) }
        #expect(during(moment(.retryBegan(call: 0, hop: 0, attempt: 1))).count == 1)
        #expect(
            during(moment(.hedgeBegan(host: "host0.test", call: 0, hop: 0, attempt: 1, hedge: 1))).contains {
                $0.contains("began a hedge")
            })
        #expect(during(moment(.attemptBegan(call: 0, hop: 0, attempt: 2, isHedge: false))).count == 1)
        #expect(during(moment(.attemptBegan(call: 0, hop: 1, attempt: 1, isHedge: false))) == [])
        #expect(
            violations(Self.retries) {
                self.retried(&$0)
                // The retry was granted before the drain, and sent afterwards.
                let place = $0.steps.firstIndex { $0.at == Self.at(20) } ?? 0
                $0.steps = $0.steps.map { moment in
                    if case .sent = moment.step { return moment }
                    return moment.at == Self.at(20) ? PoliciesMoment(at: Self.at(18), step: moment.step) : moment
                }
                $0.steps.insert(drained, at: place)
                $0.steps.sort { $0.at < $1.at }
            } == ["attempt 2 of call 0 was sent while the client drained"])
    }

    @Test("A call that begins while the client drains is refused, and each call ends within the drain's limit")
    func calls() throws {
        let drained = PoliciesMoment(at: Self.zero, step: .drainBegan)
        #expect(
            violations { $0.steps.insert(drained, at: 0) }
                == ["call 0 began while the client drained, and was not refused"])
        #expect(
            try failed(.shuttingDown, .neverSent, requestsSent: 0, { _ in }) {
                self.unsent(&$0)
                $0.steps.insert(drained, at: 0)
            } == [])
        let limit: (inout PoliciesPlan) -> Void = {
            $0.shutdown = SimulationPlan.Shutdown(at: .zero, limit: .milliseconds(9))
        }
        #expect(
            violations(limit) { $0.steps.append(drained) } == ["call 0 ended 0.001 seconds after the drain's limit"])
    }

    // MARK: Gates

    /// Three calls at once, of 10 ms each.
    private static func three(_ plan: inout PoliciesPlan) {
        plan.calls = (0..<3).map { PoliciesCall(number: $0) }
    }

    @Test("More attempts in flight in a scope than the limit are a violation")
    func concurrency() {
        let limit: (inout PoliciesPlan) -> Void = {
            Self.three(&$0)
            $0.resilience.concurrency = ConcurrencyOptions { $0.limit = .fixed(2) }
        }
        #expect(
            violations(limit) { _ in }
                == ["3 attempts are in flight in http://host0.test:80, and the limit is 2"])
        #expect(
            violations {
                limit(&$0)
                $0.calls[2].scope = "a"
            } _: { _ in
            } == [])
        #expect(
            violations {
                limit(&$0)
                $0.calls[2].maker = .withoutPolicies
            } _: { _ in
            } == [])
    }

    @Test("More attempts than the rate allows are a violation")
    func rate() {
        let rate: (Int) -> (inout PoliciesPlan) -> Void = { burst in
            {
                Self.three(&$0)
                $0.resilience.rate = RateOptions {
                    $0.burst = burst
                    $0.perSecond = 10
                }
            }
        }
        #expect(violations(rate(3)) { _ in } == [])
        #expect(violations(rate(2)) { _ in } == ["3 attempts went to http://host0.test:80 within 0.0 seconds"])
    }

    @Test("An attempt during a pause that the service has asked for is a violation", arguments: [999, 1_010])
    func pause(at milliseconds: Int) {
        let found = violations {
            $0.calls.append(PoliciesCall(number: 1))
            $0.resilience.sharesRetryAfter = true
            $0.calls[0].method = .get
        } _: {
            $0.arrivals[0].status = 429
            $0.arrivals[0].retryAfter = 1
            $0.arrivals[0].isExecuted = false
            $0.calls[0].told = .answered(PoliciesAnswer(status: 429, number: 0))
            $0.arrivals.removeLast()
            $0.steps.removeAll {
                switch $0.step {
                case .sent(1), .left(1): true
                default: false
                }
            }
            self.send(&$0, call: 1, from: milliseconds, to: milliseconds)
        }
        let early = "an attempt went to http://host0.test:80, 0.011 seconds before a pause's end"
        #expect(found == (milliseconds < 1_010 ? [early] : []))
    }

    @Test("An attempt while the breaker is open, and more probes than allowed, are violations")
    func breaker() {
        func changed(_ state: BreakerState) -> [String] {
            violations {
                Self.three(&$0)
                $0.resilience.breaker = BreakerOptions { $0.probes = 1 }
            } _: {
                let step = PoliciesStep.breakerChanged(scope: "http://host0.test:80", state, openFor: nil)
                $0.steps.insert(PoliciesMoment(at: Self.zero.advanced(by: .nanoseconds(-1)), step: step), at: 0)
            }
        }
        #expect(changed(.closed) == [])
        #expect(
            changed(.open)
                == Array(repeating: "an attempt went to http://host0.test:80, whose breaker is open", count: 3))
        #expect(changed(.isolated).count == 3)
        #expect(changed(.halfOpen) == ["3 probes are in flight to http://host0.test:80"])
    }

    // MARK: The end

    @Test("What is left after the end is a violation")
    func remains() {
        let count = PoliciesCount(what: "attempts that wait in http://host0.test:80", count: 1)
        #expect(violations { $0.counts = [count] } == ["at the end: 1 attempts that wait in http://host0.test:80"])
        #expect(violations { $0.remains.inFlight = 1 } == ["1 calls are in flight"])
        #expect(violations { $0.remains.isClosed = false } == ["the client is not closed"])
        #expect(violations { $0.remains.sleepers = 1 } == ["1 tasks still sleep"])
    }
}
