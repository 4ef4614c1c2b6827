internal import Bowline

/// The outcome of one request, as the client program saw it.
enum StreamsTold: Sendable, Hashable {
    /// The call has not ended.
    case nothing
    /// The request's own answer.
    case answered
    /// An answer with status 200 and the number or body of another request, or an answer with another status.
    case wrongAnswer
    case failed(RequestProgress)
    /// An error without a progress.
    case other
}

/// The complete record of a run.
struct StreamsRecord: Sendable {
    let seed: UInt64
    /// How many calls were made at once.
    let workers: Int
    /// The outcomes, by the request's number.
    var told: [StreamsTold]
    /// How often the peer executed each request, by the request's number.
    var executions: [UInt8]
    var figures = StreamsFigures()
    /// The client's faults, as the peers saw them.
    var problems: [String] = []
    /// The first few errors of calls.
    var errors: [String] = []
}

/// Compares the outcomes that the client program saw with the requests that the peer executed.
///
/// The verdict depends only on the record of a run.
struct StreamsJudge: Sendable, Hashable {
    /// Runs with at least this many requests must show every behaviour of the peer.
    private static let representativeCount = 20_000

    private(set) var answered = 0
    /// Calls that failed although the client was allowed to repeat their requests: GETs, and POSTs that were not
    /// executed.
    private(set) var lost = 0
    /// Failed POSTs for which the client cannot know whether they were executed.
    private(set) var ambiguous = 0
    /// POSTs that were executed more than once.
    private(set) var twice = 0
    /// The violated rules; empty if there are none.
    private(set) var violations: [String] = []

    init(_ record: StreamsRecord) {
        for number in record.told.indices { judge(number, record) }
        // A cut leaves the outcome of the requests in flight unknown: at most one request of each caller.
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
        // A longer list would hide the table.
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

    /// A table with the one row of the run.
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
