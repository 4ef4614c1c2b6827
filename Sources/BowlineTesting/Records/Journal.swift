internal import NIOCore

/// The records of a server. Tests wait on it.
struct Journal: Sendable {
    /// Whether requests, ended connections and problems are recorded; false: requests and connections are only counted.
    let keepsRecords: Bool
    /// The connections in the order of acceptance. They include ended ones while the server runs and keeps records.
    var connections: [LoopbackConnection] = []
    /// The records of connections that are no longer in ``connections``, in any order.
    var past: [ConnectionRecord] = []
    private var hasStopped = false
    /// The number of accepted connections.
    var acceptedCount = 0
    var openCount = 0
    var requests: [RecordedRequest] = []
    /// The number of requests whose head has been received.
    var beganCount = 0
    var completeCount = 0
    var problems: [String] = []
    /// The requests that scripts have read frame by frame, in the order of their heads.
    var rawRequests: [RawHTTP2Request] = []

    init(keepsRecords: Bool = true) {
        self.keepsRecords = keepsRecords
    }

    /// Returns a connection by its number, from 1.
    func connection(_ number: Int) -> LoopbackConnection? {
        guard keepsRecords, !hasStopped else { return connections.first { $0.number == number } }
        return connections.indices.contains(number - 1) ? connections[number - 1] : nil
    }

    /// Counts and adds an accepted connection.
    mutating func accepted(_ make: (_ number: Int) -> LoopbackConnection) -> LoopbackConnection {
        acceptedCount += 1
        openCount += 1
        let connection = make(acceptedCount)
        connections.append(connection)
        return connection
    }

    /// Counts an ended connection.
    mutating func ended(_ connection: LoopbackConnection) {
        openCount -= 1
        guard !keepsRecords || hasStopped, let index = connections.firstIndex(where: { $0 === connection }) else {
            return
        }
        letGo(connections.remove(at: index))
    }

    /// Keeps only the records of ended connections, from now on.
    /// A connection keeps a reference to the server, and the server to this journal. If the journal kept ended
    /// connections, none of the three would be deallocated.
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

extension Waitable<Journal> {
    /// Counts and records a request whose head has been received.
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

    /// Records the state of a request's body.
    func received(_ request: RecordedRequest) {
        withLock { journal in
            guard journal.keepsRecords else {
                // Without records, count each end once: a stream that is reset after its request is complete reports
                // the request again.
                if request.isComplete, !request.wasReset { journal.completeCount += 1 }
                return
            }
            if request.isComplete, !journal.requests[request.position].isComplete { journal.completeCount += 1 }
            journal.requests[request.position] = request
        }
    }

    /// Records a field section that a script has decoded: a request's head, or its trailers.
    func decoded(_ section: [HTTP2WireField], on connection: Int, stream: Int, endsStream: Bool) {
        withLock { journal in
            guard journal.keepsRecords else { return }
            let request = RawHTTP2Request(connection: connection, stream: stream, fields: section)
            if journal.rawIndex(of: connection, stream) == nil { journal.rawRequests.append(request) }
            if endsStream { journal.rawEnded(connection, stream) }
        }
    }

    /// Records bytes of a request's body that a script has read. Ignores the body if the script has not decoded the
    /// request's head.
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
