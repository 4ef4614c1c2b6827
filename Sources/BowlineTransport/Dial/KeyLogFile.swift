internal import BowlineCore
internal import NIOCore
internal import Synchronization

/// The file of ``TLSOptions/KeyLog``. Programs such as Wireshark read it (`draft-ietf-tls-keylogfile`).
///
/// Each line is one system call that adds to the end of the file, so the lines of several connections and processes do
/// not mix. The calls run on the event loops: the log is for debugging, and its lines are few and short.
final class KeyLogFile: Sendable {
    private let file: FileDescriptor
    private let warn: @Sendable (String) -> Void
    private let hasFailed = Atomic(false)

    /// Opens the file.
    ///
    /// - Parameter warn: Logs a message. Called once if a line cannot be written.
    /// - Throws: `FileFailure`.
    init(_ path: String, warn: @escaping @Sendable (String) -> Void) throws {
        file = try FileDescriptor(appendingTo: path)
        self.warn = warn
    }

    /// Adds a line.
    ///
    /// - Parameter line: The line with its end.
    func write(_ line: ByteBuffer) {
        do {
            try file.write(line)
        } catch {
            guard !hasFailed.exchange(true, ordering: .relaxed) else { return }
            warn("tls.keyLog: \((error as? FileFailure)?.message ?? "a line could not be written")")
        }
    }
}

extension TLSOptions.KeyLog {
    /// The path of the file; nil: none.
    ///
    /// - Parameter variable: Looks up a variable of the environment.
    func path(_ variable: (String) -> String?) -> String? {
        switch self {
        case .file(let path): path
        case .environment: variable("SSLKEYLOGFILE").flatMap { $0.isEmpty ? nil : $0 }
        }
    }
}
