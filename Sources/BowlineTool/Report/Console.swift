internal import Bowline
internal import BowlinePlatform

/// Standard output, line by line and at once, and the progress bar on standard error that lines must not run into.
final class Console: Sendable {
    private struct State {
        var isBroken = false
        var bar: ProgressBar?
        var isBarShown = false
    }

    private let state: Guarded<State>
    /// Whether there is a bar at all: asked for each chunk, so that measuring costs no lock.
    private let hasBar: Bool
    private let descriptor: Int32
    private let clock = MonotonicClock()
    private let onBrokenPipe: @Sendable () -> Void

    /// - Parameters:
    ///   - plan: When the body goes to standard output, lines go to standard error.
    ///   - requests: How many there are to be.
    ///   - onBrokenPipe: Called once, when our output cannot be written any more.
    init(plan: OutputPlan, requests: Int, onBrokenPipe: @escaping @Sendable () -> Void) {
        descriptor = plan.file == "-" ? STDERR_FILENO : STDOUT_FILENO
        hasBar = isatty(STDERR_FILENO) == 1
        state = Guarded(State(bar: hasBar ? ProgressBar(requests: requests, began: clock.now) : nil))
        self.onBrokenPipe = onBrokenPipe
    }

    /// Writes a line; nothing of it waits in a buffer of ours.
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

    /// What to say when the output cannot be written; nil: its reader has gone, which is no fault.
    static func complaint(_ failure: CInt) -> String? {
        failure == EPIPE ? nil : "cannot write the output: \(String(cString: strerror(failure)))"
    }

    /// Says something to a person, on standard error.
    func note(_ text: String) {
        state.withLock { state in
            hideBar(&state)
            _ = Self.write("bowline: \(text)\n", to: STDERR_FILENO)
        }
    }

    /// Whether something was said that nobody could hear.
    var isBroken: Bool { state.withLock { $0.isBroken } }

    // MARK: Progress

    /// A body of that length begins, if it is known.
    func announce(bytes: @autoclosure () -> Int?) {
        guard hasBar else { return }
        let length = bytes()
        state.withLock { $0.bar?.announce(bytes: length) }
    }

    /// Requests have ended, or bytes have come.
    func advance(requests: Int = 0, bytes: Int = 0) {
        guard hasBar else { return }
        let now = clock.now
        state.withLock { state in
            guard let text = state.bar?.advance(requests: requests, bytes: bytes, now: now) else { return }
            _ = Self.write("\r\u{1B}[2K\(text)", to: STDERR_FILENO)
            state.isBarShown = true
        }
    }

    /// Nothing more will come.
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

    /// nil, or the `errno` of a write that failed.
    private static func write(_ text: String, to descriptor: Int32) -> CInt? {
        var text = text
        return text.withUTF8 {
            DescriptorWriting.writeAll(UnsafeRawBufferPointer($0), to: descriptor) ? nil : errno
        }
    }
}
