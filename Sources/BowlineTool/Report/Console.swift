internal import Bowline
internal import BowlinePlatform

/// Writes lines to standard output at once, and shows the progress bar on standard error. Hides the bar before each
/// line.
final class Console: Sendable {
    private struct State {
        var isBroken = false
        var bar: ProgressBar?
        var isBarShown = false
    }

    private let state: Guarded<State>
    /// Whether there is a progress bar. Checked for each chunk without the lock, so that a run for measurements is not
    /// slowed down.
    private let hasBar: Bool
    private let descriptor: Int32
    private let clock = MonotonicClock()
    private let onBrokenPipe: @Sendable () -> Void

    /// - Parameters:
    ///   - plan: The plan of the output. If the body goes to standard output, lines go to standard error.
    ///   - requests: How many requests to expect.
    ///   - onBrokenPipe: Called once, when the output can no longer be written.
    init(plan: OutputPlan, requests: Int, onBrokenPipe: @escaping @Sendable () -> Void) {
        descriptor = plan.file == "-" ? STDERR_FILENO : STDOUT_FILENO
        hasBar = isatty(STDERR_FILENO) == 1
        state = Guarded(State(bar: hasBar ? ProgressBar(requests: requests, began: clock.now) : nil))
        self.onBrokenPipe = onBrokenPipe
    }

    /// Writes a line at once, without a buffer of ours.
    func writeLine(_ text: String) {
        let failure: CInt? = state.withLock { state in
            guard !state.isBroken else { return nil }
            hideBar(&state)
            guard let failure = Self.write(text + "\n", to: descriptor) else { return nil }
            state.isBroken = true
            return failure
        }
        guard let failure else { return }
        if let complaint = Self.complaint(failure) { note(complaint) }
        onBrokenPipe()
    }

    /// Returns the message for output that cannot be written; nil: its reader has closed the pipe, which is no fault.
    static func complaint(_ failure: CInt) -> String? {
        failure == EPIPE ? nil : "cannot write the output: \(String(cString: strerror(failure)))"
    }

    /// Writes a message for people to standard error.
    func note(_ text: String) {
        state.withLock { state in
            hideBar(&state)
            _ = Self.write("bowline: \(text)\n", to: STDERR_FILENO)
        }
    }

    /// Whether output could not be written.
    var isBroken: Bool { state.withLock { $0.isBroken } }

    // MARK: Progress

    /// Notes that a body begins, and its length if known.
    func announce(bytes: @autoclosure () -> Int?) {
        guard hasBar else { return }
        let length = bytes()
        state.withLock { $0.bar?.announce(bytes: length) }
    }

    /// Notes that requests have ended or bytes have arrived, and shows the bar if it is time.
    func advance(requests: Int = 0, bytes: Int = 0) {
        guard hasBar else { return }
        let now = clock.now
        state.withLock { state in
            guard let text = state.bar?.advance(requests: requests, bytes: bytes, now: now) else { return }
            _ = Self.write("\r\u{1B}[2K\(text)", to: STDERR_FILENO)
            state.isBarShown = true
        }
    }

    /// Removes the progress bar.
    func endProgress() {
        state.withLock { state in
            hideBar(&state)
            state.bar = nil
        }
    }

    private func hideBar(_ state: inout State) {
        guard state.isBarShown else { return }
        _ = Self.write("\r\u{1B}[2K", to: STDERR_FILENO)
        state.isBarShown = false
    }

    /// Writes to a descriptor. Returns the `errno` of a write that failed; nil: it succeeded.
    private static func write(_ text: String, to descriptor: Int32) -> CInt? {
        var text = text
        return text.withUTF8 {
            DescriptorWriting.writeAll(UnsafeRawBufferPointer($0), to: descriptor) ? nil : errno
        }
    }
}
