/// Makes calls of the system that a signal may interrupt.
package enum SystemCall {
    /// Repeats a system call while a signal interrupts it (EINTR), and returns its last result. If this result is
    /// `failure`, `errno` has the reason.
    ///
    /// - Parameter failure: The result that the system call returns when it fails.
    package static func retryOnInterrupt<Result: Equatable>(failure: Result, _ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result != failure || errno != EINTR { return result }
        }
    }
}
