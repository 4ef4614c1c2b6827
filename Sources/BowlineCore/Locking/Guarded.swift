public import Synchronization

/// A value behind a `Mutex` whose lock the thread sanitizer can see.
///
/// The standard library's mutex takes its slow path in code that is not instrumented, so with Swift 6.3 on Linux the
/// sanitizer reports races between any two threads that contend for it. Compiled with `THREAD_SANITIZER` defined, this
/// tells it of each acquisition and release; otherwise it is the mutex and nothing else.
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

    /// Calls `body` with the value while no other thread can. Not recursive.
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

    /// Tells the sanitizer that all that was done under the lock has happened. After a wait for a continuation: one that
    /// is resumed before it is awaited goes on at once, and the runtime does not tell the sanitizer of that.
    @inlinable
    package borrowing func synchronize() {
        #if THREAD_SANITIZER
            token.acquire()
        #endif
    }
}

extension Guarded: Sendable where Value: ~Copyable {}

#if THREAD_SANITIZER
    /// Lends a lock an address that the sanitizer knows it by.
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
