internal import BowlineCore

/// The error of this module's awaiting functions when the awaited condition does not become true in time.
///
/// Its description contains the condition, the call's location, the timeout and the state that was found. That is
/// enough to understand a failed test from its log.
public struct WaitTimeout: Error, Sendable, CustomStringConvertible {
    /// The condition that was awaited, such as "2 open connections".
    public let awaited: String
    /// The state that was found when the timeout passed.
    public let found: String
    /// The longest wait that the call allowed.
    public let timeout: Duration
    /// The location of the call, as `Module/File.swift:12`.
    public let location: String

    public var description: String {
        "waited \(timeout.inSeconds) s for \(awaited), found \(found) (\(location))"
    }
}

/// The location of a call that waits, for the message of a ``WaitTimeout``.
struct CallSite: Sendable {
    let file: String
    let line: Int

    var text: String { "\(file):\(line)" }
}
