internal import ArgumentParser
internal import Bowline

/// `bowline-trust silence`: makes the path silent in every phase of a request, and prints a table of the effects.
struct SilenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "silence",
        abstract: "Makes the path silent in every phase of a request, and measures when calls succeed again.",
        discussion: """
            Callers make calls through a proxy. From one moment on, the proxy passes no bytes and closes \
            no connection. The column "dark" says which connections are silent: every second connection \
            (half), all open ones (open), all open ones, and new ones for a while (path), or all for a \
            while (pause). Times are counted from the moment from which new connections work. Exit \
            status 1 if a figure is beyond its limit.
            """
    )

    @Flag(help: "Runs only the extents half and path, with 8 callers.")
    var short = false

    @Option(help: "How many callers each scenario has. (default: 16; with --short 8)")
    var workers: Int?

    @Option(help: "How many scenarios run at once.")
    var atOnce = 4

    @Option(help: "Runs only the scenarios with this text in their name, which is like \"HTTP/2 TLS, body, half\".")
    var only: String?

    func validate() throws {
        if let workers, !(2...32).contains(workers) { throw ValidationError("--workers must be 2 to 32") }
        guard (1...32).contains(atOnce) else { throw ValidationError("--at-once must be 1 to 32") }
    }

    func run() async throws {
        let scenarios = SilenceScenario.all(isShort: short).filter { scenario in
            only.map { scenario.description.contains($0) } ?? true
        }
        guard !scenarios.isEmpty else { throw ValidationError("no scenario has this name") }
        let limits = SilenceLimits()
        let running = RunningScenarios()
        // A scenario takes about two seconds, or up to 20 seconds if its calls reach their timeouts.
        let limit = Duration.seconds(30 + 20 * scenarios.count / atOnce)
        try Watchdog.start().begin(limit: limit) { "HANGS after \(limit.messageText): \(running.names)" }
        let rows = await rows(of: scenarios, limits, running)
        print(Self.table(rows, limits))
        print(Self.summary(rows, limits))
        guard rows.allSatisfy({ $0.violations(limits).isEmpty }) else { throw ExitCode(1) }
    }

    /// Runs the scenarios, several at once.
    private func rows(
        of scenarios: [SilenceScenario], _ limits: SilenceLimits, _ running: RunningScenarios
    ) async -> [SilenceRow] {
        let workers = self.workers ?? (short ? 8 : 16)
        return await withTaskGroup(of: (Int, SilenceRow).self) { group in
            var rows = [SilenceRow?](repeating: nil, count: scenarios.count)
            for (index, scenario) in scenarios.enumerated() {
                if index >= atOnce, let (done, row) = await group.next() { rows[done] = row }
                group.addTask {
                    running.began(scenario)
                    defer { running.ended(scenario) }
                    return (index, await SilenceRun.run(scenario, limits, workers: scenario.workers(of: workers)))
                }
            }
            for await (done, row) in group { rows[done] = row }
            return rows.compactMap { $0 }
        }
    }

    private static func table(_ rows: [SilenceRow], _ limits: SilenceLimits) -> TextTable {
        var table = TextTable(SilenceRow.header)
        for row in rows { table.add(row.cells(limits)) }
        return table
    }

    /// Returns the lines below the table: the errors of calls, the figures beyond a limit, and the last line.
    private static func summary(_ rows: [SilenceRow], _ limits: SilenceLimits) -> String {
        var lines = [""]
        for row in rows where !row.failures.isEmpty { lines.append("\(row.scenario): \(row.failureText)") }
        let failed = rows.filter { !$0.violations(limits).isEmpty }
        for row in failed { lines += row.violations(limits).map { "FAILED \(row.scenario): \($0)" } }
        let longest = rows.compactMap(\.longest).max() ?? .zero
        lines.append(
            "\(rows.count) scenarios, \(failed.count) beyond a limit; \(rows.reduce(0) { $0 + $1.calls }) calls, "
                + "\(rows.reduce(0) { $0 + $1.failed }) failed; "
                + "calls succeeded again after at most \(longest.messageText)"
        )
        return lines.joined(separator: "\n")
    }
}

/// The scenarios that are running, for the message of a run that hangs.
private final class RunningScenarios: Sendable {
    private let scenarios = Guarded<[SilenceScenario]>([])

    var names: String { scenarios.withLock { $0.map(\.description).joined(separator: "; ") } }

    func began(_ scenario: SilenceScenario) {
        scenarios.withLock { $0.append(scenario) }
    }

    func ended(_ scenario: SilenceScenario) {
        scenarios.withLock { $0.removeAll { $0 == scenario } }
    }
}
