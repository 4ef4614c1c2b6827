internal import Synchronization

/// A value under a lock, as `Mutex` is, whose hand-over a thread sanitizer can follow.
///
/// On Linux a contended `Mutex` is handed over inside the kernel, where the sanitizer does not see it, so it reports races
/// that are none. The atomic tells it what the lock guarantees; elsewhere it costs two plain memory accesses.
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

    /// Takes note of all that was done under the lock. After a wait for a continuation: one that is resumed before it is
    /// awaited goes on at once, and the runtime does not tell the sanitizer of that.
    func synchronize() {
        _ = handOver.load(ordering: .acquiring)
    }
}
