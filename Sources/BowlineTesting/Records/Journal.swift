/// What a server remembers; a test waits upon it.
struct Journal: Sendable {
    var connections: [LoopbackConnection] = []
    var openCount = 0
    var requests: [RecordedRequest] = []
    var completeCount = 0
    var problems: [String] = []
}

extension Watched<Journal> {
    /// Counts a request whose head has come.
    func began(
        _ head: RequestHead, on connection: Int, number: Int, stream: Int? = nil
    ) -> RecordedRequest {
        withLock { journal in
            let request = RecordedRequest(
                method: head.method, target: head.target, fields: head.fields, head: head.text, connection: connection,
                number: number, stream: stream, framing: head.framing, position: journal.requests.count
            )
            journal.requests.append(request)
            return request
        }
    }

    /// Remembers what has come of a request's body.
    func received(_ request: RecordedRequest) {
        withLock { journal in
            if request.isComplete, !journal.requests[request.position].isComplete { journal.completeCount += 1 }
            journal.requests[request.position] = request
        }
    }

    func noteProblem(_ text: String) {
        withLock { $0.problems.append(text) }
    }
}
