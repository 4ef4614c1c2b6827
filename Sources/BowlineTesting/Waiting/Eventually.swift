/// Waits until `condition` is true by asking it again and again, every millisecond.
///
/// For facts that nothing announces, such as the number of open file descriptors. Where something can be awaited (a
/// ``Gate``, ``LoopbackServer/waitForOpenConnections(count:timeout:file:line:)``), await that.
///
/// - Parameters:
///   - awaited: What is awaited, for the error's message.
///   - timeout: How long at most, on the machine's clock. Default 10 s.
///   - file: Where the wait stands, for the error's message.
///   - line: Where the wait stands, for the error's message.
///   - isolation: The actor that `condition` runs on: the caller's.
///   - condition: Asked at least once.
/// - Throws: ``WaitTimeout`` after `timeout`; what `condition` throws; `CancellationError` when the task is cancelled.
public func eventually(
    _ awaited: String,
    within timeout: Duration = .seconds(10),
    file: String = #fileID,
    line: Int = #line,
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let start = ContinuousClock.now
    while true {
        if try await condition() { return }
        guard ContinuousClock.now - start < timeout else {
            throw WaitTimeout(awaited: awaited, found: "otherwise", timeout: timeout, location: "\(file):\(line)")
        }
        try await Task.sleep(for: .milliseconds(1))
    }
}
