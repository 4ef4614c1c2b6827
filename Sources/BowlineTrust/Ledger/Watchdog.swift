internal import BowlineCore
internal import BowlinePlatform

/// Ends the process when a piece of work takes too long, from a thread of its own: the runtime's threads may all be stuck.
final class Watchdog: Sendable {
    private struct Watch: Sendable {
        let until: Int64
        let explain: @Sendable () -> String
    }

    private let watch = Guarded<Watch?>(nil)

    private init() {}

    /// Starts a watchdog, whose thread goes on until the process ends.
    ///
    /// - Throws: ``NotStarted`` if the system has no thread for it.
    static func start() throws -> Watchdog {
        let watchdog = Watchdog()
        let reason = PlatformThread.startDetached {
            while true {
                usleep(100_000)
                watchdog.check()
            }
        }
        if let reason { throw NotStarted(reason: reason) }
        return watchdog
    }

    /// The system did not start the thread.
    struct NotStarted: Error {
        let reason: String
    }

    /// Watches what begins now, in place of what was watched before.
    ///
    /// - Parameters:
    ///   - limit: How long it may take.
    ///   - explain: What is printed when it takes longer, before the process ends with 1.
    func begin(limit: Duration, _ explain: @escaping @Sendable () -> String) {
        let until = MonotonicClock().now.advanced(by: limit).nanoseconds
        let watched = Watch(until: until, explain: explain)
        watch.withLock { $0 = watched }
    }

    /// Notes that the work has ended.
    func end() {
        watch.withLock { $0 = nil }
    }

    private func check() {
        let now = MonotonicClock().now.nanoseconds
        guard let watch = watch.withLock({ $0 }), now > watch.until else { return }
        print(watch.explain())
        fflush(nil)
        _exit(1)
    }
}
