internal import BowlineCore

/// Waits until `condition` is true. Evaluates it every millisecond.
///
/// In `withVirtualTime`, the milliseconds and the timeout are virtual.
///
/// Use it for facts that produce no event, such as the number of open file descriptors. Where an awaiting function
/// exists (``Gate/wait()``, ``LoopbackServer/waitForOpenConnections(count:timeout:file:line:)``), use that function
/// instead.
///
/// - Parameters:
///   - awaited: A description of the condition, for the error's message.
///   - timeout: The longest wait, on the machine's clock. Default 10 s.
///   - file: The file of the call, for the error's message.
///   - line: The line of the call, for the error's message.
///   - isolation: The actor that `condition` runs on: the caller's.
///   - condition: The condition. It is evaluated at least once.
/// - Throws: ``WaitTimeout`` after `timeout`; any error of `condition`; `CancellationError` when the task is cancelled.
public func eventually(
    _ awaited: String,
    within timeout: Duration = .seconds(10),
    file: String = #fileID,
    line: Int = #line,
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let loop = VirtualTimeLoop.current
    let clock: any ServiceClock = loop.map { VirtualClock($0) } ?? MonotonicClock()
    let end = clock.now.advanced(by: timeout)
    while true {
        if try await condition() { return }
        guard clock.now < end else {
            throw WaitTimeout(awaited: awaited, found: "otherwise", timeout: timeout, location: "\(file):\(line)")
        }
        try await clock.sleep(until: clock.now.advanced(by: .milliseconds(1)), tolerance: nil)
    }
}
