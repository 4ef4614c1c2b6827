internal import Bowline
internal import Testing

@testable import BowlineTrust

@Suite("Streams: the judge")
struct StreamsJudgeTests {
    private static let seed: UInt64 = 7
    private static let count = 200

    /// A run in which every request was answered and executed once.
    private static var clean: StreamsRecord {
        StreamsRecord(
            seed: seed, workers: 4, told: [StreamsTold](repeating: .answered, count: count),
            executions: [UInt8](repeating: 1, count: count))
    }

    private static func number(_ method: HTTPRequest.Method) -> Int {
        (0..<count).first { StreamsCall(seed: seed, number: $0).method == method } ?? 0
    }

    private static let post = number(.post)
    private static let get = number(.get)

    private static func judged(
        _ number: Int, _ told: StreamsTold, executions: UInt8, _ change: (inout StreamsRecord) -> Void = { _ in }
    ) -> StreamsJudge {
        var record = clean
        record.told[number] = told
        record.executions[number] = executions
        change(&record)
        return StreamsJudge(record)
    }

    @Test("A run in which each call is answered and executed once has no violation")
    func good() {
        let judge = StreamsJudge(Self.clean)
        #expect(judge.violations == [])
        #expect(judge.answered == Self.count)
        #expect(judge.lost == 0)
        #expect(judge.twice == 0)
    }

    @Test("a GET may be executed twice, a POST may not")
    func twice() {
        #expect(Self.judged(Self.get, .answered, executions: 2).violations == [])
        let judge = Self.judged(Self.post, .answered, executions: 2)
        #expect(judge.violations == ["POST \(Self.post) was executed 2 times"])
        #expect(judge.twice == 1)
    }

    @Test("a GET that fails is lost, whatever its progress", arguments: RequestProgress.allCases)
    func lostGet(_ progress: RequestProgress) {
        let judge = Self.judged(Self.get, .failed(progress), executions: 0)
        #expect(judge.lost == 1)
        #expect(judge.violations == ["GET \(Self.get) was lost (\(progress.rawValue))"])
    }

    @Test(
        "A POST that fails as neverSent or refused is lost, because it could have been repeated",
        arguments: [
            RequestProgress.neverSent, .refused,
        ])
    func lostPost(_ progress: RequestProgress) {
        let lost = "POST \(Self.post) was lost (\(progress.rawValue))"
        let judge = Self.judged(Self.post, .failed(progress), executions: 0)
        #expect(judge.lost == 1)
        #expect(judge.violations == [lost])
        #expect(
            Self.judged(Self.post, .failed(progress), executions: 1).violations
                == [lost, "POST \(Self.post) was executed, and the client says \(progress.rawValue)"])
    }

    @Test(
        "A POST may end without a response only on a connection that was cut",
        arguments: [
            RequestProgress.ambiguous, .responseStarted,
        ])
    func ambiguous(_ progress: RequestProgress) {
        let cut = Self.judged(Self.post, .failed(progress), executions: 1) { $0.figures.cuts = 1 }
        #expect(cut.violations == [])
        #expect(cut.ambiguous == 1)
        #expect(cut.lost == 0)
        #expect(
            Self.judged(Self.post, .failed(progress), executions: 1).violations
                == ["1 POSTs may have been executed or not, and cuts explain 0"])
    }

    @Test("An unfinished call, another call's response and a response to an unexecuted call are violations")
    func wrong() {
        #expect(Self.judged(3, .nothing, executions: 1).violations == ["3 has not ended"])
        #expect(Self.judged(3, .wrongAnswer, executions: 1).violations == ["3 got an answer that is not its own"])
        #expect(Self.judged(3, .answered, executions: 0).violations == ["3 was answered and not executed"])
        #expect(Self.judged(3, .other, executions: 1).violations == ["3 failed with an unknown error"])
    }

    @Test("A misbehaviour of the client that the peer notes is a violation")
    func problems() {
        let judge = Self.judged(3, .answered, executions: 1) {
            $0.problems = ["connection 1: stream 5 was opened after 7"]
        }
        #expect(judge.violations == ["connection 1: stream 5 was opened after 7"])
    }

    @Test("A long run in which an expected event never happened is not conclusive")
    func vacuous() {
        var record = Self.clean
        record.told = [StreamsTold](repeating: .answered, count: 20_000)
        record.executions = [UInt8](repeating: 1, count: 20_000)
        record.figures = StreamsFigures(
            exhausted: 1, goAways: 1, cuts: 1, windowChanges: 1, limitChanges: 1, pauses: 1)
        #expect(StreamsJudge(record).violations == ["no stream was refused: the run says nothing"])
    }

    @Test("the table has one row")
    func table() {
        let lines = StreamsJudge(Self.clean).table(StreamsFigures(), requests: Self.count).description.split(
            separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.last?.split(separator: " ").map(String.init).prefix(3) == ["200", "200", "0"])
    }
}
