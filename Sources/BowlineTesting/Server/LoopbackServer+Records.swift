extension LoopbackServer {
    /// The requests with a complete head, in the order of their heads; empty without `keepsRecords`.
    public var requests: [RecordedRequest] { journal.withLock { $0.requests } }

    /// All accepted connections, including ended ones; without `keepsRecords` only the open ones.
    public var connections: [ConnectionRecord] {
        let (past, present) = journal.withLock { ($0.past, $0.connections) }
        return (past + present.map(\.record)).sorted { $0.number < $1.number }
    }

    /// Returns a connection by its number, so that a test can send and receive on it; nil if there is no such
    /// connection.
    ///
    /// Ended connections are returned too, while the server runs and if `keepsRecords` is true. Bytes that a test sends
    /// on the connection are mixed with the bytes of its script or of the routes.
    public func connection(_ number: Int) -> LoopbackConnection? {
        journal.withLock { $0.connection(number) }
    }

    /// Closes all open connections with FIN, as a server does with idle connections. The server still accepts new ones.
    public func closeConnections() async {
        for connection in journal.withLock({ $0.connections }) where connection.isOpen {
            try? await connection.closeNow()
        }
    }

    /// Resets all open connections with RST. The server still accepts new ones.
    public func resetConnections() async {
        for connection in journal.withLock({ $0.connections }) where connection.isOpen {
            try? await connection.reset()
        }
    }

    /// The number of connections that neither side has ended.
    public var openConnectionCount: Int { journal.withLock { $0.openCount } }

    /// The server's problems: invalid requests, rules of HTTP/2 that a client broke, and errors thrown by scripts and
    /// responders; empty without `keepsRecords`. Check that it is empty at the end of a test.
    public var problems: [String] { journal.withLock { $0.problems } }

    /// The requests that ``RawHTTP2Connection`` or a test's own script has read on the server's connections, in the
    /// order of their heads. Empty without `keepsRecords`.
    package var rawRequests: [RawHTTP2Request] { journal.withLock { $0.rawRequests } }

    /// Waits until at least `count` connections have been accepted, including ended ones.
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

    /// Waits until at least `count` requests have been received completely.
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

    /// Waits until the heads of at least `count` requests have been received. Their bodies may be incomplete.
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
