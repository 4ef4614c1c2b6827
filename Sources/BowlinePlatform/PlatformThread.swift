/// A thread for work that blocks. If the system cannot start it, `init` throws. SwiftNIO's and the runtime's threads
/// end the process in that case.
package struct PlatformThread {
    /// The system did not start a thread.
    package struct NotStarted: Error {
        /// The system's reason.
        package let reason: String
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }

        func start(_ thread: inout pthread_t?) -> CInt {
            let work = Unmanaged.passRetained(self)
            #if canImport(Glibc) || canImport(Bionic)
                var made = pthread_t()
                let status = pthread_create(&made, nil, { Work.run($0) }, work.toOpaque())
                thread = made
            #else
                let status = pthread_create(&thread, nil, { Work.run($0) }, work.toOpaque())
            #endif
            if status != 0 { work.release() }
            return status
        }

        /// Runs the work. Takes an optional, because the parameter's type differs between the platforms.
        private static func run(_ work: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            if let work { Unmanaged<Work>.fromOpaque(work).takeRetainedValue().body() }
            return nil
        }
    }

    private let thread: pthread_t

    /// Runs `body` on a new thread. The thread ends when `body` returns, and must be joined or detached.
    package init(_ body: @escaping @Sendable () -> Void) throws(NotStarted) {
        var made: pthread_t?
        let status = Work(body).start(&made)
        guard status == 0, let made else { throw NotStarted(reason: String(cString: strerror(status))) }
        thread = made
    }

    /// Runs `body` on a new thread without waiting for it.
    ///
    /// - Returns: the system's reason why the thread could not be started; nil: the thread runs.
    package static func startDetached(_ body: @escaping @Sendable () -> Void) -> String? {
        do {
            pthread_detach(try PlatformThread(body).thread)
            return nil
        } catch {
            return error.reason
        }
    }

    /// Waits until the thread has ended.
    package func join() {
        pthread_join(thread, nil)
    }
}
