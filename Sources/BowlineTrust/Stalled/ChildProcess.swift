internal import BowlineCore
internal import BowlinePlatform

/// A second process of this program, with other arguments.
final class ChildProcess: Sendable {
    /// The system did not start the process.
    struct NotStarted: Error, CustomStringConvertible {
        let reason: String

        var description: String { "the peer's process was not started: \(reason)" }
    }

    /// The environment variables that the program needs: where its libraries and its temporary files are.
    private static let variables = ["LD_LIBRARY_PATH", "PATH", "HOME", "TMPDIR"]

    private let process: pid_t
    private let isEnded = Guarded(false)

    /// Starts the process.
    ///
    /// - Throws: ``NotStarted``.
    init(_ arguments: [String]) throws {
        let environment = Self.variables.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
        var process = pid_t()
        let status = Self.withCStrings(["bowline-trust"] + arguments) { arguments in
            Self.withCStrings(environment) { posix_spawn(&process, "/proc/self/exe", nil, nil, arguments, $0) }
        }
        guard status == 0 else { throw NotStarted(reason: String(cString: strerror(status))) }
        self.process = process
    }

    deinit { end() }

    /// Kills the process and waits until it has ended.
    func end() {
        let isFirst = isEnded.withLock { isEnded -> Bool in
            defer { isEnded = true }
            return !isEnded
        }
        guard isFirst else { return }
        kill(process, SIGKILL)
        var status: CInt = 0
        _ = SystemCall.retryOnInterrupt(failure: -1) { waitpid(process, &status, 0) }
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}
