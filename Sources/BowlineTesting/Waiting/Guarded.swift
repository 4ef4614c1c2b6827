internal import Synchronization

/// A value under a lock, like `Mutex`, with an atomic that lets a thread sanitizer see the lock's ordering.
///
/// On Linux, the kernel passes a contended `Mutex` to the next thread. The sanitizer does not see that and reports data
/// races that do not exist. The atomic shows the sanitizer the ordering that the lock already guarantees. Without the
/// sanitizer it costs two plain memory accesses.
struct Guarded<Value: Sendable>: ~Copyable, Sendable {
    private let mutex: Mutex<Value>
    private let handOver = Atomic(false)

    init(_ value: Value) {
        mutex = Mutex(value)
    }

    func withLock<Result: Sendable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try mutex.withLock { value throws(Failure) in
            _ = handOver.load(ordering: .acquiring)
            defer { handOver.store(false, ordering: .releasing) }
            return try body(&value)
        }
    }

    /// Shows the sanitizer that this thread has seen all changes made under the lock. Call it after a wait for a
    /// continuation: if the continuation is resumed before it is awaited, the task continues at once, and the runtime
    /// does not report that to the sanitizer.
    func synchronize() {
        _ = handOver.load(ordering: .acquiring)
    }
}
