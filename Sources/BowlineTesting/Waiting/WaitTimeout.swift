internal import BowlineCore

/// What an awaiting function of this module throws when what it waited for did not happen in time.
///
/// Says what was awaited, from where, for how long, and what was found instead: enough to understand a failed test from
/// its log.
public struct WaitTimeout: Error, Sendable, CustomStringConvertible {
    /// What was awaited, as in "2 open connections".
    public let awaited: String
    /// What was the case when the time was over.
    public let found: String
    /// How long it was awaited.
    public let timeout: Duration
    /// Where the waiting function was called, as `Module/File.swift:12`.
    public let location: String

    public var description: String {
        "waited \(timeout.inSeconds) s for \(awaited), found \(found) (\(location))"
    }
}

/// Where a test waits, for the message of a ``WaitTimeout``.
struct CallSite: Sendable {
    let file: String
    let line: Int

    var text: String { "\(file):\(line)" }
}
