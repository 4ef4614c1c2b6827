internal import NIOCore

/// What a server remembers; a test waits upon it.
struct Journal: Sendable {
    /// Whether requests, connections that have ended, and problems are kept; if not, they are only counted.
    let keepsRecords: Bool
    /// In the order in which they were accepted. Those that have ended are among them while the server runs and records are kept.
    var connections: [LoopbackConnection] = []
    /// What is known of connections that are not among ``connections`` any more, in any order.
    var past: [ConnectionRecord] = []
    private var hasStopped = false
    /// How many connections were accepted.
    var acceptedCount = 0
    var openCount = 0
    var requests: [RecordedRequest] = []
    /// How many requests have begun.
    var beganCount = 0
    var completeCount = 0
    var problems: [String] = []
    /// The requests that scripts have read frame by frame, in the order of their heads.
    var rawRequests: [RawHTTP2Request] = []

    init(keepsRecords: Bool = true) {
        self.keepsRecords = keepsRecords
    }

    /// A connection by its number, from 1.
    func connection(_ number: Int) -> LoopbackConnection? {
        guard keepsRecords, !hasStopped else { return connections.first { $0.number == number } }
        return connections.indices.contains(number - 1) ? connections[number - 1] : nil
    }

    /// Counts a connection that was accepted.
    mutating func accepted(_ make: (_ number: Int) -> LoopbackConnection) -> LoopbackConnection {
        acceptedCount += 1
        openCount += 1
        let connection = make(acceptedCount)
        connections.append(connection)
        return connection
    }

    /// Counts a connection that has ended.
    mutating func ended(_ connection: LoopbackConnection) {
        openCount -= 1
        guard !keepsRecords || hasStopped, let index = connections.firstIndex(where: { $0 === connection }) else {
            return
        }
        letGo(connections.remove(at: index))
    }

    /// Keeps from now on only the records of connections that have ended.
    ///
    /// A connection holds the server and the server this journal: as long as it held the connection, none would go away.
    mutating func stopped() {
        hasStopped = true
        let all = connections
        connections = []
        for connection in all {
            if connection.isOpen { connections.append(connection) } else { letGo(connection) }
        }
    }

    fileprivate func rawIndex(of connection: Int, _ stream: Int) -> Int? {
        rawRequests.lastIndex { $0.connection == connection && $0.stream == stream }
    }

    fileprivate mutating func rawEnded(_ connection: Int, _ stream: Int) {
        if let index = rawIndex(of: connection, stream) { rawRequests[index].isComplete = true }
    }

    private mutating func letGo(_ connection: LoopbackConnection) {
        if keepsRecords { past.append(connection.record) }
    }
}

extension Watched<Journal> {
    /// Counts a request whose head has come.
    func began(
        _ head: RequestHead, on connection: Int, number: Int, stream: Int? = nil
    ) -> RecordedRequest {
        withLock { journal in
            let request = RecordedRequest(
                method: head.method, target: head.target, fields: head.fields, head: head.text, connection: connection,
                number: number, stream: stream, framing: head.framing, position: journal.beganCount
            )
            journal.beganCount += 1
            if journal.keepsRecords { journal.requests.append(request) }
            return request
        }
    }

    /// Remembers what has come of a request's body.
    func received(_ request: RecordedRequest) {
        withLock { journal in
            guard journal.keepsRecords else {
                // Without a record, an end is told once: a stream that is reset after it has come whole says so again.
                if request.isComplete, !request.wasReset { journal.completeCount += 1 }
                return
            }
            if request.isComplete, !journal.requests[request.position].isComplete { journal.completeCount += 1 }
            journal.requests[request.position] = request
        }
    }

    /// Remembers a field section that a script has decoded: a request's head, or its trailers.
    func decoded(_ section: [HTTP2WireField], on connection: Int, stream: Int, endsStream: Bool) {
        withLock { journal in
            guard journal.keepsRecords else { return }
            let request = RawHTTP2Request(connection: connection, stream: stream, fields: section)
            if journal.rawIndex(of: connection, stream) == nil { journal.rawRequests.append(request) }
            if endsStream { journal.rawEnded(connection, stream) }
        }
    }

    /// Remembers bytes of a request's body that a script has read. Of a request whose head it has not decoded nothing is kept.
    func read(_ bytes: ByteBuffer, on connection: Int, stream: Int, endsStream: Bool, keeping limit: Int) {
        withLock { journal in
            guard let index = journal.rawIndex(of: connection, stream) else { return }
            journal.rawRequests[index].append(bytes, keeping: limit)
            if endsStream { journal.rawEnded(connection, stream) }
        }
    }

    func noteProblem(_ text: String) {
        withLock { journal in
            if journal.keepsRecords { journal.problems.append(text) }
        }
    }
}
