internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

/// The judge finds each violation in a record that has one.
@Suite("The judge of a simulation")
struct SimulationJudgeTests {
    private static let zero = MonotonicInstant(nanoseconds: 0)

    /// A record without a violation: a POST that was answered, with a body of 5 bytes.
    private func record(isCalm: Bool = false) -> SimulationRecord {
        var call = SimulationCall(number: 0)
        call.method = .post
        call.answerCount = 5
        call.total = .seconds(1)
        var plan = SimulationPlan(isHTTP2: false, calls: [call])
        plan.isCalm = isCalm
        var record = SimulationRecord(plan: plan)
        var made = SimulationCallRecord(call: call)
        made.began = Self.zero
        made.ended = Self.zero.advanced(by: .milliseconds(10))
        made.endings = 1
        var answer = SimulationAnswer()
        answer.status = 200
        answer.number = 0
        answer.saysExecuted = true
        answer.received = 5
        answer.isWhole = true
        made.told = .answered(answer)
        made.requestsSent = 1
        record.calls = [made]
        record.executions = [1]
        record.executionsUnchanged = [1]
        return record
    }

    private func violations(isCalm: Bool = false, _ change: (inout SimulationRecord) -> Void) -> [String] {
        var record = record(isCalm: isCalm)
        change(&record)
        return SimulationJudge(record).violations
    }

    private func answer(_ change: (inout SimulationAnswer) -> Void) -> [String] {
        violations { record in
            guard case .answered(var answer) = record.calls[0].told else { return }
            change(&answer)
            record.calls[0].told = .answered(answer)
        }
    }

    @Test("A record without a fault has no violation")
    func clean() {
        #expect(violations { _ in } == [])
        #expect(violations(isCalm: true) { _ in } == [])
    }

    @Test("A call that ends twice or never is a violation", arguments: [0, 2])
    func endings(count: Int) {
        #expect(violations { $0.calls[0].endings = count }.count == 1)
    }

    @Test("A POST that was executed twice is a violation, unless it may be repeated")
    func twice() {
        let both: (inout SimulationRecord) -> Void = {
            $0.executions = [2]
            $0.executionsUnchanged = [2]
            $0.calls[0].requestsSent = 2
        }
        #expect(violations(both) == ["POST 0 was executed 2 times"])
        #expect(violations { $0.executions = [2] } == ["call 0 was executed 2 times, and sent 1 times"])
        // A redirect has made a GET of it.
        #expect(
            violations {
                both(&$0)
                $0.executionsUnchanged = [0]
            } == [])
    }

    @Test("A success without an execution, another's answer, and wrong or missing bytes are violations")
    func answers() {
        #expect(violations { $0.executions = [0] }.count == 2)
        #expect(answer { $0.number = 1 } == ["call 0 got the answer of 1"])
        #expect(answer { $0.isMatching = false } == ["call 0 got a body of other bytes"])
        #expect(answer { $0.received = 4 } == ["call 0 got 4 bytes of 5, and no error"])
        #expect(
            answer {
                $0.isWhole = false; $0.received = 4
            } == [])
        #expect(
            answer {
                $0.isUntilClose = true; $0.received = 4
            } == [])
    }

    @Test("A request that was executed did not fail as never sent")
    func progress() {
        let failed = { (progress: RequestProgress) in
            violations { $0.calls[0].told = .failed(code: "connectionClosed", progress) }
        }
        #expect(failed(.neverSent) == ["call 0 was executed, and failed as neverSent"])
        #expect(failed(.refused) == ["call 0 was executed, and failed as refused"])
        #expect(failed(.ambiguous) == [])
    }

    @Test("Without a fault each call succeeds")
    func calm() {
        #expect(
            violations(isCalm: true) { $0.calls[0].told = .failed(code: "connectionClosed", .ambiguous) }
                == ["call 0 failed (connectionClosed), without a fault"])
    }

    @Test("An error that no fault causes is a violation")
    func unexplained() {
        #expect(violations { $0.calls[0].told = .failed(code: "protocolViolation", .ambiguous) }.count == 1)
        #expect(violations { $0.calls[0].told = .other("text") } == ["call 0 failed with text"])
        #expect(violations { $0.calls[0].told = .cancelled }.count == 1)
    }

    @Test("A call that fails, is sent or ends late is a violation")
    func late() {
        let late = Self.zero.advanced(by: .milliseconds(1_011))
        #expect(
            violations {
                $0.calls[0].told = .failed(code: "deadlineExceeded", .ambiguous)
                $0.calls[0].ended = late
            }.count == 1)
        #expect(violations { $0.steps = [(late, .headSent(call: 0, hop: 0, attempt: 1))] }.count == 1)
        #expect(
            violations {
                $0.calls[0].told = .cancelled
                $0.calls[0].cancelled = Self.zero
                $0.calls[0].ended = Self.zero.advanced(by: .milliseconds(11))
            }.contains { $0.contains("after it was cancelled") })
    }

    @Test("A retry that begins while the client drains is a violation")
    func drain() {
        let began = SimulationStep.retryBegan(call: 0, hop: 0, attempt: 1)
        #expect(violations { $0.steps = [(Self.zero, .drainBegan), (Self.zero, began)] }.count == 1)
        #expect(violations { $0.steps = [(Self.zero, began), (Self.zero, .drainBegan)] } == [])
    }

    @Test("A retry beyond the budget is a violation, and one that was not sent does not count")
    func budget() {
        var plan = record().plan
        plan.retry.budget = RetryBudgetOptions()
        plan.retry.budget?.ratio = 0.5
        plan.retry.budget?.perSecond = 0
        func judge(_ steps: [SimulationStep]) -> [String] {
            var record = SimulationRecord(plan: plan)
            record.steps = steps.map { (Self.zero, $0) }
            return SimulationJudge(record).violations
        }
        func granted(_ attempt: Int) -> SimulationStep { .retryGranted(call: 0, hop: 0, attempt: attempt) }
        func sent(_ attempt: Int) -> SimulationStep { .headSent(call: 0, hop: 0, attempt: attempt) }
        let two: [SimulationStep] = [.requested(call: 0, hop: 0), .requested(call: 0, hop: 1)]
        #expect(judge(two + [sent(1), granted(1), sent(2)]) == [])
        #expect(judge(two + [sent(1), granted(1), sent(2), granted(2), sent(3)]).count == 1)
        #expect(judge(two + [sent(1), granted(1), granted(2), sent(3)]) == [])
        #expect(judge([.requested(call: 0, hop: 0), granted(1)]).count == 1)
    }

    @Test("What is left after the end is a violation")
    func remains() {
        #expect(violations { $0.remains.pooled = 1 }.count == 1)
        #expect(violations { $0.remains.channels = 1 }.count == 1)
        #expect(violations { $0.remains.inFlight = 1 }.count == 1)
        #expect(violations { $0.remains.isClosed = false }.count == 1)
        #expect(violations { $0.remains.sleepers = 1 }.count == 1)
    }

    @Test("The faults that peers and pools report are violations")
    func reported() {
        #expect(violations { $0.problems = ["text"] } == ["the client's fault: text"])
        #expect(violations { $0.poolViolations = ["text"] } == ["text"])
    }

    @Test("Two traces are compared line by line")
    func traces() {
        #expect(SeedOutcome.difference(["a", "b"], ["a", "b"]) == nil)
        #expect(SeedOutcome.difference(["a", "b"], ["a", "c"])?.contains("line 2") == true)
        #expect(SeedOutcome.difference(["a", "b"], ["a"])?.contains("has 1 lines") == true)
    }
}
