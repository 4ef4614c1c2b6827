public import Synchronization

/// A value behind a `Mutex` whose lock the thread sanitizer can see.
///
/// The slow path of the standard library's mutex is not instrumented. So with Swift 6.3 on Linux the sanitizer reports
/// false races between any two threads that contend for the mutex. If `THREAD_SANITIZER` is defined, this type notifies
/// the sanitizer of each acquisition and release. Otherwise it adds nothing to the mutex.
@usableFromInline
package struct Guarded<Value: ~Copyable>: ~Copyable {
    @usableFromInline let mutex: Mutex<Value>
    #if THREAD_SANITIZER
        @usableFromInline let token = SanitizerToken()
    #endif

    @inlinable
    package init(_ value: consuming sending Value) {
        mutex = Mutex(value)
    }

    /// Calls `body` with the value while no other thread can use the value. Not recursive.
    @inlinable
    package borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        #if THREAD_SANITIZER
            try mutex.withLock { value throws(Failure) in
                token.acquire()
                defer { token.release() }
                return try body(&value)
            }
        #else
            try mutex.withLock(body)
        #endif
    }

    /// Notifies the sanitizer that everything done under the lock has happened. Call it when a task has waited for a
    /// continuation. If the continuation was resumed before the task suspended, the task goes on at once, and the
    /// runtime does not notify the sanitizer.
    @inlinable
    package borrowing func synchronize() {
        #if THREAD_SANITIZER
            token.acquire()
        #endif
    }
}

extension Guarded: Sendable where Value: ~Copyable {}

#if THREAD_SANITIZER
    /// Gives a lock an address by which the sanitizer identifies it.
    @usableFromInline
    final class SanitizerToken: Sendable {
        @usableFromInline init() {}

        @usableFromInline
        func acquire() {
            sanitizerAcquire(Unmanaged.passUnretained(self).toOpaque())
        }

        @usableFromInline
        func release() {
            sanitizerRelease(Unmanaged.passUnretained(self).toOpaque())
        }
    }

    @_silgen_name("__tsan_acquire")
    private func sanitizerAcquire(_ address: UnsafeMutableRawPointer)

    @_silgen_name("__tsan_release")
    private func sanitizerRelease(_ address: UnsafeMutableRawPointer)
#endif
