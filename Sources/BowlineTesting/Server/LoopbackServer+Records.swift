extension LoopbackServer {
    /// The requests whose heads have come, in that order; none without `keepsRecords`.
    public var requests: [RecordedRequest] { journal.withLock { $0.requests } }

    /// The connections accepted, those that have ended included; without `keepsRecords` the open ones.
    public var connections: [ConnectionRecord] {
        let (past, present) = journal.withLock { ($0.past, $0.connections) }
        return (past + present.map(\.record)).sorted { $0.number < $1.number }
    }

    /// A connection by its number, to drive it from a test; nil if there is none, and a closed one if it has ended. Once the
    /// server has stopped, nil for one that has ended.
    ///
    /// Bytes sent on it come between those that its script or the routes send.
    public func connection(_ number: Int) -> LoopbackConnection? {
        journal.withLock { $0.connection(number) }
    }

    /// Closes (FIN) all connections that are open, as a server does that drops idle ones; new ones are accepted.
    public func closeConnections() async {
        for connection in journal.withLock({ $0.connections }) where connection.isOpen {
            try? await connection.closeNow()
        }
    }

    /// Resets (RST) all connections that are open; new ones are accepted.
    public func resetConnections() async {
        for connection in journal.withLock({ $0.connections }) where connection.isOpen {
            try? await connection.reset()
        }
    }

    /// How many connections neither side has ended.
    public var openConnectionCount: Int { journal.withLock { $0.openCount } }

    /// What went wrong: requests that are not valid, and what scripts threw; none without `keepsRecords`. A good test ends with
    /// none.
    public var problems: [String] { journal.withLock { $0.problems } }

    /// The requests that ``RawHTTP2Connection`` has read on the server's connections, and those that scripts of a test's own have noted,
    /// in the order of their heads. None without `keepsRecords`.
    package var rawRequests: [RawHTTP2Request] { journal.withLock { $0.rawRequests } }

    /// Waits until at least `count` connections have been accepted, those that have ended included.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForConnections(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await journal.wait(
            for: "\(count) connections", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.acceptedCount)" }, until: { $0.acceptedCount >= count }
        )
    }

    /// Waits until exactly `count` connections are open.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForOpenConnections(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await journal.wait(
            for: "\(count) open connections", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.openCount)" }, until: { $0.openCount == count }
        )
    }

    /// Waits until at least `count` requests have been received whole.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForRequests(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await journal.wait(
            for: "\(count) whole requests", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.completeCount), and \($0.beganCount - $0.completeCount) begun" },
            until: { $0.completeCount >= count }
        )
    }

    /// Waits until the heads of at least `count` requests have come, whether or not their bodies have.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForRequestHeads(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await journal.wait(
            for: "the heads of \(count) requests", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.beganCount)" }, until: { $0.beganCount >= count }
        )
    }
}
