import Foundation

/// Starts and kills the store, and removes it and its files in the end.
///
/// A shell does this, and reads its orders from a pipe. When this process ends, also by a signal or a crash, the pipe
/// closes: then the shell kills the store and removes the folder. So nothing remains, however the program ends.
struct StoreKeeper {
    private static let script = """
        trap '' INT TERM HUP
        folder=$1 server=$2 store=
        end() { [ -z "$store" ] || { kill -9 "$store"; wait "$store"; store=; }; }
        while read -r order; do
            case $order in
                kill) end ;;
                start)
                    "$server" --port 0 --unixsocket "$folder/store" --dir "$folder" --save '' --appendonly no \\
                        >"$folder/log" &
                    store=$!
                    ;;
            esac
        done
        end
        rm -rf "$folder"
        """

    /// A temporary folder.
    let folder: URL
    /// The path of the store's Unix socket.
    var socket: String { folder.appending(path: "store").path }
    private let shell = Process()
    private let orders = Pipe()

    init() throws {
        guard let server = Self.found("redis-server") ?? Self.found("valkey-server") else {
            throw StoreFailure(
                description: """
                    There is no redis-server and no valkey-server on PATH. \
                    Run Scripts/install-dependencies --with-examples.
                    """)
        }
        let name = "fleet-\(ProcessInfo.processInfo.processIdentifier)"
        folder = FileManager.default.temporaryDirectory.appending(path: name)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", Self.script, "keeper", folder.path, server]
        shell.standardInput = orders
        shell.standardError = FileHandle.nullDevice
        try shell.runWithSignals()
    }

    /// Starts the store. It has no data.
    func start() throws { try order("start") }

    /// Kills the store (SIGKILL).
    func kill() throws { try order("kill") }

    /// Kills the store and removes the folder.
    func end() {
        try? orders.fileHandleForWriting.close()
        shell.waitUntilExit()
    }

    private func order(_ word: String) throws {
        try orders.fileHandleForWriting.write(contentsOf: Data("\(word)\n".utf8))
    }

    /// Finds a program on PATH.
    private static func found(_ program: String) -> String? {
        let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
        return folders.map { "\($0)/\(program)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

extension Process {
    /// Starts the process with no signal blocked. The threads of Swift's pool block signals, and a process inherits that
    /// from the thread that starts it. A shell could not wait for its children then.
    func runWithSignals() throws {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try run()
    }
}
