internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// SwiftNIO's singleton event loops, which are only made once it is certain that they can be.
///
/// SwiftNIO ends the process when a loop gets no descriptor or no thread, and libdispatch does the same when it gets none for its
/// first timer. So before the first client of the process has them, as many of both are taken and given back. What remains is
/// a race against other threads that take the last ones in the same instant.
enum SingletonLoops {
    private struct Made {
        var loops = false
        var threads = false
    }

    private static let made = Guarded(Made())

    /// - Throws: ``ServiceError`` `connectFailed` if descriptors or threads are lacking: a later call may succeed;
    ///   `invalidConfiguration` if the program has switched SwiftNIO's singletons off.
    static func group() throws -> MultiThreadedEventLoopGroup {
        try requireSingletons("event loops")
        return try made.withLock { made in
            if made.loops { return MultiThreadedEventLoopGroup.singleton }
            try requireResources(
                loops: NIOSingletons.groupLoopCountSuggestion,
                blocking: made.threads ? 0 : NIOSingletons.blockingPoolThreadCountSuggestion)
            let group = MultiThreadedEventLoopGroup.singleton
            // It starts its threads at once, and ends the process when it cannot: here, while there is room.
            _ = NIOThreadPool.singleton
            startRuntimeTimer()
            made = Made(loops: true, threads: true)
            return group
        }
    }

    /// Whether it is the one that ``group()`` gives.
    static func isGroup(_ group: any EventLoopGroup) -> Bool {
        // Asking for it would make it.
        made.withLock { $0.loops } && group === MultiThreadedEventLoopGroup.singleton
    }

    /// SwiftNIO's threads for blocking work, for a file that is used without a client of ours, as with a stub.
    ///
    /// - Throws: ``ServiceError`` `fileFailed` if threads are lacking: a later call may succeed; `invalidConfiguration` if the
    ///   program has switched SwiftNIO's singletons off.
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
        // A selector, what wakes it, and its timer, for each loop and for the runtime's own.
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

    /// Makes the runtime take the descriptors of its timers now.
    private static func startRuntimeTimer() {
        Task { try? await Task.sleep(for: .nanoseconds(1), clock: .suspending) }
    }
}
