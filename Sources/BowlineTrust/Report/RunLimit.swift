internal import Bowline
internal import BowlinePlatform

/// Ends the process with status 1 when a run takes too long: a hang is a finding that nobody should have to wait for.
enum RunLimit {
    /// Begins to watch, on a thread of its own: where a call hangs, Swift's own threads may hang, too.
    ///
    /// - Parameters:
    ///   - limit: How long the run may take, on the machine's clock.
    ///   - underWay: What is under way, for the message.
    static func watch(_ limit: Duration, underWay: @escaping @Sendable () -> String) {
        let end = MonotonicClock().now.advanced(by: limit)
        let reason = PlatformThread.startDetached {
            while MonotonicClock().now < end { sleep(1) }
            print("HANGS: the run is not over after \(limit.readable); under way: \(underWay())")
            exit(1)
        }
        if let reason { print("the run's time is not limited: \(reason)") }
    }
}
