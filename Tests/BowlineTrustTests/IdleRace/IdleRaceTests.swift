internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("The idle race's judgement")
struct IdleRaceTests {
    private func judge(_ log: String, _ records: IdleRaceRecord...) -> IdleRaceJudgement {
        IdleRaceJudgement(records, log: AccessLog(text: log))
    }

    private func answered(
        _ method: IdleRaceMethod, _ id: String, isOwn: Bool = true, isReused: Bool = true, resends: Int = 0
    ) -> IdleRaceRecord {
        IdleRaceRecord(
            method: method, id: id, outcome: .answered(isOwn: isOwn, isReused: isReused, resends: resends))
    }

    private func failed(_ method: IdleRaceMethod, _ id: String, _ progress: RequestProgress) -> IdleRaceRecord {
        IdleRaceRecord(
            method: method, id: id, outcome: .failed(code: "connectionClosed", progress: progress, resends: 0))
    }

    @Test("A good run has its answered, reused and resent requests counted, without a violation")
    func clean() {
        let found = judge(
            "GET 0-0\nPOST 0-1\nGET 0-2\n",
            answered(.get, "0-0", isReused: false), answered(.post, "0-1"), answered(.get, "0-2", resends: 1))
        #expect(found.violations == [])
        #expect(found.rows[.get] == IdleRaceJudgement.Row(sent: 2, reused: 1, resent: 1))
        #expect(found.rows[.post] == IdleRaceJudgement.Row(sent: 1, reused: 1))
    }

    @Test("A GET may be executed once more for each resend, and not more often")
    func resentGet() {
        #expect(judge("GET a\nGET a\n", answered(.get, "a", resends: 1)).violations == [])
        #expect(
            judge("GET a\nGET a\n", answered(.get, "a")).violations == ["GET a: executed 2 times, resent 0 times"])
    }

    @Test("A lost GET is a violation")
    func lostGet() {
        let found = judge("", failed(.get, "a", .ambiguous))
        #expect(found.violations == ["GET a: lost: connectionClosed, ambiguous"])
        #expect(found.rows[.get]?.lost == [.ambiguous: 1])
    }

    @Test("A lost POST whose error is ambiguous is counted")
    func lostPost() {
        let found = judge(
            "POST b\n", failed(.post, "a", .ambiguous), failed(.post, "b", .responseStarted))
        #expect(found.violations == [])
        #expect(found.rows[.post]?.lost == [.ambiguous: 1, .responseStarted: 1])
        #expect(found.rows[.post]?.totalLost == 2)
        #expect(found.rows[.post]?.lostThoughExecuted == 1)
    }

    @Test("A POST that was executed twice is a violation, whatever the caller got")
    func executedTwice() {
        let found = judge("POST a\nPOST b\nPOST a\nPOST b\n", answered(.post, "a"), failed(.post, "b", .ambiguous))
        #expect(found.violations == ["POST a: executed 2 times", "POST b: executed 2 times"])
        #expect(found.rows[.post]?.executedTwice == 2)
    }

    @Test(
        "The progress neverSent for an executed request is a violation",
        arguments: [
            RequestProgress.neverSent, .refused,
        ])
    func wrongProgress(_ progress: RequestProgress) {
        #expect(
            judge("POST a\n", failed(.post, "a", progress)).violations
                == ["POST a: executed, though the error says \(progress.rawValue)"])
        #expect(
            judge("", failed(.post, "a", progress)).violations
                == ["POST a: not sent again, though the error says \(progress.rawValue)"])
    }

    @Test("Another request's response, and a response to an unexecuted request, are violations")
    func wrongAnswer() {
        #expect(judge("GET a\n", answered(.get, "a", isOwn: false)).violations == ["GET a: the answer is not its own"])
        #expect(
            judge("POST a\n", answered(.get, "a")).violations
                == ["GET a: answered, though the server did not execute it"])
    }

    @Test("Only log lines with a method and an id count")
    func logLines() {
        let log = AccessLog(text: "GET 1-1\nGET - 400\n- -\n\nGET 1-1\nPOST 1-1")
        #expect(log.executions(of: .get, id: "1-1") == 2)
        #expect(log.executions(of: .post, id: "1-1") == 1)
        #expect(log.executions(of: .get, id: "-") == 0)
    }

    @Test("The judge waits until each answered request is in the log")
    func completeLog() {
        let records = [answered(.get, "a"), failed(.post, "b", .ambiguous)]
        #expect(!IdleRaceJudgement.isComplete(AccessLog(text: "POST b\n"), for: records))
        #expect(IdleRaceJudgement.isComplete(AccessLog(text: "GET a\n"), for: records))
    }
}

@Suite("The idle race's gaps")
struct IdleRaceGapsTests {
    @Test("The gaps are within the sweep on both sides of the timeout, half of them within a tenth of the sweep")
    func spread() {
        var random = SeededRandom(seed: 7)
        let gaps = IdleRaceGaps(timeout: .milliseconds(1_000), sweep: .milliseconds(60))
        let drawn = (0..<10_000).map { _ in gaps.draw(from: &random) }
        #expect(drawn.allSatisfy { $0 >= .milliseconds(940) && $0 <= .milliseconds(1_060) })
        #expect(drawn.contains { $0 < .milliseconds(950) })
        #expect(drawn.contains { $0 > .milliseconds(1_050) })
        // Half by the narrow draw, and a tenth of the other half.
        let near = drawn.filter { $0 >= .milliseconds(994) && $0 <= .milliseconds(1_006) }.count
        #expect((5_200...5_800).contains(near))
    }

    @Test("Half of the gaps are near the client's own timeout if the client closes before the server")
    func ownTimeout() {
        var random = SeededRandom(seed: 7)
        let gaps = IdleRaceGaps(
            timeout: .milliseconds(2_000), sweep: .milliseconds(60), ownTimeout: .milliseconds(1_000))
        let drawn = (0..<1_000).map { _ in gaps.draw(from: &random) }
        let early = drawn.filter { $0 >= .milliseconds(940) && $0 <= .milliseconds(1_060) }.count
        let late = drawn.filter { $0 >= .milliseconds(1_940) && $0 <= .milliseconds(2_060) }.count
        #expect(early + late == 1_000)
        #expect((400...600).contains(early))
    }

    @Test("The gaps are never negative")
    func notNegative() {
        var random = SeededRandom(seed: 7)
        let gaps = IdleRaceGaps(timeout: .milliseconds(5), sweep: .milliseconds(60))
        let drawn = (0..<1_000).map { _ in gaps.draw(from: &random) }
        #expect(drawn.allSatisfy { $0 >= .zero })
        #expect(drawn.contains(.zero))
    }
}

@Suite("The idle race's report")
struct IdleRaceReportTests {
    private func makeReport(
        _ records: [IdleRaceRecord] = [], log: String = "", closed: [String: Int], isHinted: Bool = false
    ) -> IdleRaceReport {
        IdleRaceReport(
            judgement: IdleRaceJudgement(records, log: AccessLog(text: log)), opened: 3, closed: closed,
            isHinted: isHinted)
    }

    private let reused = IdleRaceRecord(
        method: .get, id: "a", outcome: .answered(isOwn: true, isReused: true, resends: 0))
    private let lost = IdleRaceRecord(
        method: .post, id: "b", outcome: .failed(code: "connectionClosed", progress: .ambiguous, resends: 0))

    @Test("The report is clean if connections were reused and the server closed some")
    func clean() {
        let report = makeReport([reused, lost], log: "GET a\n", closed: ["closedByPeer": 2, "shutdown": 1])
        #expect(report.problems == [])
        #expect(report.text.contains("POSTs lost: 1 of 1, 100000 in 100,000: ambiguous 1"))
        #expect(
            report.text.contains("connections: 3 opened, 2 closed by the server; closed: closedByPeer 2, shutdown 1"))
        #expect(!report.text.contains("VIOLATION"))
    }

    @Test("The report fails if the gaps missed the server's close on one side")
    func missed() {
        #expect(
            makeReport([reused], log: "GET a\n", closed: ["shutdown": 1]).problems
                == ["the server closed no connection: the gaps are too short"])
        #expect(
            makeReport([], closed: ["closedByPeer": 1]).problems
                == ["no connection was used twice: the gaps are too long"])
        #expect(
            makeReport([reused], log: "GET a\n", closed: ["closedByPeer": 1]).problems
                == ["no request met the server's close: the gaps miss it"])
    }

    @Test("With a hint, the report fails if the server closed a connection or a POST was lost")
    func hinted() {
        #expect(makeReport([reused], log: "GET a\n", closed: ["keepAliveTimeout": 4], isHinted: true).problems == [])
        #expect(
            makeReport([reused, lost], log: "GET a\n", closed: ["closedByPeer": 1], isHinted: true).problems == [
                "the server closed 1 connections in spite of its hint", "1 POSTs were lost in spite of the hint",
            ])
        #expect(
            makeReport([], closed: ["keepAliveTimeout": 4], isHinted: true).problems
                == ["no connection was used twice: the gaps are too long"])
    }
}
