internal import Bowline
internal import Testing

@testable import BowlineTool

@Suite("What counts as a success")
struct TallyTests {
    private static func outcome(status: Int) -> Outcome {
        var outcome = Outcome(index: 0, url: "")
        outcome.response = Outcome.Received(ServiceResponse(status: HTTPResponse.Status(code: status)))
        return outcome
    }

    private static func outcome(_ code: ServiceError.Code) -> Outcome {
        var outcome = Outcome(index: 0, url: "")
        outcome.failure = Failure(ServiceError(code, "because"))
        return outcome
    }

    @Test(
        "Every status is a success; with --fail, 400 and above is a failure",
        arguments: [(200, true), (399, true), (400, false), (404, false), (599, false)])
    func statuses(status: Int, passes: Bool) {
        #expect(Self.outcome(status: status).verdict(failsOnStatus: false) == .succeeded)
        #expect(Self.outcome(status: status).verdict(failsOnStatus: true) == (passes ? .succeeded : .failed))
    }

    @Test("an error is a failure, but a refusal by our own shutdown is not")
    func errors() {
        #expect(Self.outcome(.connectionClosed).verdict(failsOnStatus: false) == .failed)
        #expect(Self.outcome(.forciblyClosed).verdict(failsOnStatus: false) == .failed)
        #expect(Self.outcome(.shuttingDown).verdict(failsOnStatus: true) == .refused)
    }

    @Test("A body that fails after a good head is a failure")
    func failedBody() {
        var outcome = Self.outcome(status: 200)
        outcome.failure = Failure(ServiceError(.incompleteBody, "cut"))
        #expect(outcome.verdict(failsOnStatus: false) == .failed)
    }

    @Test("Workers' tallies add up, with failures by name")
    func adding() {
        var one = Tally()
        one.record(.init(Self.outcome(status: 200), failsOnStatus: true))
        one.record(.init(Self.outcome(status: 404), failsOnStatus: true))
        one.record(.init(Self.outcome(.connectionClosed), failsOnStatus: true))
        var two = Tally()
        two.record(.init(Self.outcome(.connectionClosed), failsOnStatus: true))
        two.record(.init(Self.outcome(.shuttingDown), failsOnStatus: true))
        one.add(two)
        #expect((one.succeeded, one.failed, one.refused, one.requests) == (1, 3, 1, 5))
        #expect(one.failures == ["connectionClosed": 2, "status 404": 1])
        #expect(one.latencies.count == 1)
    }

    @Test("workers take each index once, and nothing beyond the count")
    func queue() async {
        let queue = WorkQueue(count: 1000)
        let taken = await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    var taken: [Int] = []
                    while let index = queue.take() { taken.append(index) }
                    return taken
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(taken.sorted() == Array(0..<1000))
    }
}
