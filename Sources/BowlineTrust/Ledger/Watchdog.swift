internal import BowlineCore
internal import BowlinePlatform

/// Ends the process when work takes too long. It uses its own thread, because all threads of the runtime may be stuck.
final class Watchdog: Sendable {
    private struct Watch: Sendable {
        let until: Int64
        let explain: @Sendable () -> String
    }

    private let watch = Guarded<Watch?>(nil)

    private init() {}

    /// Starts a watchdog. Its thread runs until the process ends.
    ///
    /// - Throws: ``NotStarted`` if the system cannot start the thread.
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

    /// Watches work that begins now; the watchdog stops watching earlier work.
    ///
    /// - Parameters:
    ///   - limit: How long the work may take.
    ///   - explain: Makes the text that is printed if the work takes longer; then the process exits with status 1.
    func begin(limit: Duration, _ explain: @escaping @Sendable () -> String) {
        let until = MonotonicClock().now.advanced(by: limit).nanoseconds
        let watched = Watch(until: until, explain: explain)
        watch.withLock { $0 = watched }
    }

    /// Records that the work has ended.
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
