internal import Bowline

/// What the client program was told of one request.
enum StreamsTold: Sendable, Hashable {
    /// Its call has not ended.
    case nothing
    /// Its own answer.
    case answered
    /// Status 200 with the number or the body of another request, or another status.
    case wrongAnswer
    case failed(RequestProgress)
    /// It failed with an error that says nothing of its progress.
    case other
}

/// Everything that is known after a run.
struct StreamsRecord: Sendable {
    let seed: UInt64
    /// How many calls were made at once.
    let workers: Int
    /// By the request's number.
    var told: [StreamsTold]
    /// How often the peer executed each.
    var executions: [UInt8]
    var figures = StreamsFigures()
    /// What the client did and must not do, by the peer.
    var problems: [String] = []
    /// Errors of calls, the first few.
    var errors: [String] = []
}

/// Compares what the client program was told with what the peer executed.
///
/// A pure function of the record of a run.
struct StreamsJudge: Sendable, Hashable {
    /// Runs of so many requests or more must have everything in them.
    private static let representativeCount = 20_000

    private(set) var answered = 0
    /// Calls that failed though their request may be repeated: GETs, and POSTs that were not executed.
    private(set) var lost = 0
    /// POSTs of which the client cannot know whether they were executed.
    private(set) var ambiguous = 0
    /// POSTs that were executed more than once.
    private(set) var twice = 0
    /// What must not be; empty if nothing is.
    private(set) var violations: [String] = []

    init(_ record: StreamsRecord) {
        for number in record.told.indices { judge(number, record) }
        // A cut leaves those behind that were on their way: one for each caller at most.
        let explained = record.figures.cuts * record.workers
        if ambiguous > explained {
            violations.append("\(ambiguous) POSTs may have been executed or not, and cuts explain \(explained)")
        }
        if record.told.count >= Self.representativeCount { requireAll(record.figures) }
        violations += record.problems
    }

    private mutating func judge(_ number: Int, _ record: StreamsRecord) {
        let isPost = StreamsCall(seed: record.seed, number: number).method == .post
        let count = number < record.executions.count ? Int(record.executions[number]) : 0
        if isPost, count > 1 {
            twice += 1
            add("POST \(number) was executed \(count) times")
        }
        switch record.told[number] {
        case .answered:
            answered += 1
            if count == 0 { add("\(number) was answered and not executed") }
        case .nothing: add("\(number) has not ended")
        case .wrongAnswer: add("\(number) got an answer that is not its own")
        case .failed(.ambiguous) where isPost, .failed(.responseStarted) where isPost: ambiguous += 1
        case .failed(let progress):
            lost += 1
            add("\(isPost ? "POST" : "GET") \(number) was lost (\(progress.rawValue))")
            if isPost, count > 0 { add("POST \(number) was executed, and the client says \(progress.rawValue)") }
        case .other:
            lost += 1
            add("\(number) failed with an unknown error")
        }
    }

    private mutating func add(_ violation: String) {
        // All of them would hide the table.
        if violations.count < 20 { violations.append(violation) }
    }

    private mutating func requireAll(_ figures: StreamsFigures) {
        let counts = [
            ("connection ran out of stream numbers", figures.exhausted), ("GOAWAY was sent", figures.goAways),
            ("connection was cut", figures.cuts), ("stream was refused", figures.refused),
            ("window was changed", figures.windowChanges), ("limit of streams was changed", figures.limitChanges),
            ("pause was made", figures.pauses),
        ]
        for (what, count) in counts where count == 0 { violations.append("no \(what): the run says nothing") }
    }

    /// The run's one row.
    func table(_ figures: StreamsFigures, requests: Int) -> TextTable {
        var table = TextTable([
            "requests", "answered", "connections", "exhausted", "GOAWAYs", "ignored", "refused", "cuts", "windows",
            "limits",
            "pauses", "ambiguous", "lost", "twice",
        ])
        let row = [
            requests, answered, figures.connections, figures.exhausted, figures.goAways, figures.ignored,
            figures.refused, figures.cuts, figures.windowChanges, figures.limitChanges, figures.pauses, ambiguous, lost,
            twice,
        ]
        table.add(row.map { "\($0)" })
        return table
    }
}
