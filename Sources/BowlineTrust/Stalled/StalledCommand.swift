internal import ArgumentParser
internal import Bowline
internal import BowlineTesting

/// `bowline-trust stalled`: measures the memory used for responses that are not read. The peer sends as many bytes as
/// the windows allow, each in a frame of its own.
struct StalledCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stalled",
        abstract: "Measures the memory of unread responses that the peer sends in frames of one byte.",
        discussion: """
            The client reads only the heads of the responses. The peer, in a process of its own, sends \
            DATA frames of one byte until the window of each stream is used up. The program's allocated \
            memory is measured before the requests and at its maximum. For each stream, the difference \
            may be at most the stream's window and 16 KiB. Only on Linux with glibc. Exit status 1 if \
            the difference is larger.
            """
    )

    @Option(help: "How many responses there are, each on its own stream, 1 to 900.")
    var streams = 100

    @Option(help: "The stream windows to try, 65,535 or more.")
    var window: [Int] = [65_535, 1_048_576]

    @Flag(help: "Tries only the smallest window.")
    var short = false

    func validate() throws {
        guard (1...900).contains(streams) else { throw ValidationError("--streams must be 1 to 900") }
        guard !window.isEmpty, window.allSatisfy({ (65_535...16_777_216).contains($0) }) else {
            throw ValidationError("--window must be 65535 to 16777216")
        }
    }

    func run() async throws {
        let windows = short ? Array(window.sorted().prefix(1)) : window
        // Each byte needs a frame. The limit assumes 500,000 frames a second; normally there are millions.
        let limit = Duration.seconds(60 + windows.reduce(0, +) * streams / 500_000)
        try Watchdog.start().begin(limit: limit) { "HANGS after \(limit.messageText)" }
        var rows: [StalledRow] = []
        for window in windows { rows.append(try await StalledRun(window: window, streams: streams).run()) }
        var table = TextTable(StalledRow.header)
        for row in rows { table.add(row.cells) }
        print(table)
        print("")
        let violations = rows.flatMap { row in row.violations.map { "FAILED window \(row.window): \($0)" } }
        for violation in violations { print(violation) }
        guard violations.isEmpty else { throw ExitCode(1) }
        let most = rows.map { $0.bytesPerStream - $0.window }.max() ?? 0
        print("\(streams) unread responses: at most \(most) bytes beside the window of each")
    }
}

/// `bowline-trust stalled-peer`: the other process of ``StalledCommand``. It ends when its connection ends.
struct StalledPeerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stalled-peer", shouldDisplay: false)

    @Option(help: "The Unix domain socket on which the peer listens.")
    var socket: String

    func run() async throws {
        let ended = Gate()
        var options = LoopbackServer.Options()
        options.address = .unixSocket(path: socket)
        options.keepsRecords = false
        let server = try await LoopbackServer.start(options)
        server.onConnection { connection in
            defer { ended.open() }
            try await StalledPeer.serve(connection)
        }
        // The process that started this one may end before it connects.
        try Watchdog.start().begin(limit: .seconds(1_800)) { "a connection did not begin, or did not end" }
        try await ended.wait()
        await server.stop()
    }
}
