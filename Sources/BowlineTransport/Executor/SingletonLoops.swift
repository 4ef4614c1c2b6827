internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// SwiftNIO's singleton event loops, made only after a check that this machine has the resources for them.
///
/// SwiftNIO ends the process if a loop gets no descriptor or no thread. libdispatch does the same if it gets no
/// descriptor for its first timer. So before the first client of the process uses the loops, this type takes as many
/// descriptors and threads as they need, and releases them. A race remains: another thread may take the last ones in
/// the same instant.
enum SingletonLoops {
    private struct Made {
        var loops = false
        var threads = false
    }

    private static let made = Guarded(Made())

    /// - Throws: ``ServiceError`` `connectFailed` if there are too few descriptors or threads (a later call may
    ///   succeed); `invalidConfiguration` if the program has disabled SwiftNIO's singletons.
    static func group() throws -> MultiThreadedEventLoopGroup {
        try requireSingletons("event loops")
        return try made.withLock { made in
            if made.loops { return MultiThreadedEventLoopGroup.singleton }
            try requireResources(
                loops: NIOSingletons.groupLoopCountSuggestion,
                blocking: made.threads ? 0 : NIOSingletons.blockingPoolThreadCountSuggestion)
            let group = MultiThreadedEventLoopGroup.singleton
            // The pool starts its threads at once, and ends the process if it cannot. So start it here, while there is
            // room.
            _ = NIOThreadPool.singleton
            startRuntimeTimer()
            made = Made(loops: true, threads: true)
            return group
        }
    }

    /// Whether `group` is the group that ``group()`` returns.
    static func isGroup(_ group: any EventLoopGroup) -> Bool {
        // Reading the singleton would create it.
        made.withLock { $0.loops } && group === MultiThreadedEventLoopGroup.singleton
    }

    /// Returns SwiftNIO's threads for blocking work, for a file that is used without a client, for example with a stub.
    ///
    /// - Throws: ``ServiceError`` `fileFailed` if there are too few threads (a later call may succeed);
    ///   `invalidConfiguration` if the program has disabled SwiftNIO's singletons.
    static func threads() throws -> NIOThreadPool {
        try requireSingletons("threads for files")
        return try made.withLock { made in
            if made.threads { return .singleton }
            let threads = NIOSingletons.blockingPoolThreadCountSuggestion
            if let reason = SpareResources.lackOfThreads(threads) {
                throw ServiceError(
                    .fileFailed,
                    "the threads for files cannot be made: they need \(threads) threads: \(reason); end some, or raise "
                        + "the limit (ulimit -u), then try again"
                )
            }
            let pool = NIOThreadPool.singleton
            made.threads = true
            return pool
        }
    }

    private static func requireSingletons(_ what: String) throws {
        guard NIOSingletons.singletonsEnabledSuggestion else {
            throw ServiceError(
                .invalidConfiguration,
                "NIOSingletons.singletonsEnabledSuggestion is false: there are no \(what) to use"
            )
        }
    }

    private static func requireResources(loops: Int, blocking: Int) throws {
        // A selector, its wake-up descriptor and its timer, for each loop and for the runtime's own loop.
        let descriptors = 3 * (loops + 1)
        if let reason = SpareResources.lackOfDescriptors(descriptors) {
            throw lacking(
                "they need \(descriptors) file descriptors", reason, "close files, or raise the limit (ulimit -n)")
        }
        let threads = loops + blocking
        if let reason = SpareResources.lackOfThreads(threads) {
            throw lacking("they need \(threads) threads", reason, "end some, or raise the limit (ulimit -u)")
        }
    }

    private static func lacking(_ need: String, _ reason: String, _ remedy: String) -> ServiceError {
        ServiceError(
            .connectFailed, "the event loops cannot be made: \(need): \(reason); \(remedy), then make the client again"
        )
    }

    /// Makes the runtime open the descriptors of its timers now.
    private static func startRuntimeTimer() {
        Task { try? await Task.sleep(for: .nanoseconds(1), clock: .suspending) }
    }
}
