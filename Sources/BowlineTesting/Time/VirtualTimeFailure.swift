public import BowlineCore

/// The error of ``withVirtualTime(seed:order:limit:_:)`` when its body cannot end.
///
/// The body is cancelled first. So its description says what waited before the cancellation.
public struct VirtualTimeFailure: Error, Sendable, CustomStringConvertible {
    /// Why the run was ended.
    public enum Reason: String, Sendable, Hashable, CaseIterable {
        /// No job is ready and no task sleeps, so nothing can happen any more, but the body has not ended.
        case nothingCanRun
        /// The clock would pass the `limit` of the run.
        case limitPassed
        /// Millions of jobs have run while the clock stood still, such as a loop around `Task.yield()`.
        case spinning
        /// The system did not start a thread.
        case noThread
    }

    /// Why the run was ended.
    public let reason: Reason
    /// The time on the run's clock.
    public let instant: MonotonicInstant
    /// What waited, as far as it is known: the texts of ``VirtualTime/waiting(for:_:)``, and the requests that
    /// simulated services hold.
    public let waiting: [String]
    let details: String

    public var description: String {
        var text = "virtual time stopped at \(VirtualTime.text(instant)): "
        switch reason {
        case .nothingCanRun: text += "no job is ready, no task sleeps on the clock, and the body has not ended"
        case .limitPassed: text += "the next wake-up is after the limit of the run"
        case .spinning: text += "jobs run without end while the clock stands still"
        case .noThread: text += "the system started no thread"
        }
        text += waiting.isEmpty ? "; what waits is not known" : "; waiting: \(waiting.joined(separator: ", "))"
        return details.isEmpty ? text : "\(text); \(details)"
    }
}
