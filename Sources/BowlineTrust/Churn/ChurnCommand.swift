internal import ArgumentParser
internal import Bowline

/// `bowline-trust churn`: callers cancel and servers misbehave for minutes, and no gauge may rise beyond its limit.
struct ChurnCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "churn",
        abstract: "Calls origins that misbehave, cancels calls at random, and tests that no use of resources grows.",
        discussion: """
            Memory, descriptors, threads, calls in flight and connections are measured each second. The \
            first quarter of the run, but at least 20 s, is a warm-up. After it, each figure may rise by \
            no more than its limit. A rise counts only if it is not by chance (Theil-Sen slope, \
            Mann-Kendall test). After the shutdown, as many descriptors must be open as before the run. \
            Client and servers share the process. Exit status 1 if a figure is beyond its limit.
            """
    )

    @Option(help: "How many minutes the run lasts, with fractions.")
    var minutes = 10.0

    @Option(help: "The seed of calls, behaviours and cancellations. (default: random, and printed)")
    var seed: UInt64?

    @Option(help: "How many origins there are.")
    var origins = 100

    @Option(help: "How many calls are made at once.")
    var callers = 48

    func validate() throws {
        guard minutes.isFinite, (0.1...1440).contains(minutes) else {
            throw ValidationError("--minutes must be 0.1 to 1440")
        }
        guard (1...1000).contains(origins) else { throw ValidationError("--origins must be 1 to 1000") }
        guard (1...1000).contains(callers) else { throw ValidationError("--callers must be 1 to 1000") }
    }

    func run() async throws {
        let seed = self.seed ?? UInt64.random(in: 0 ... .max)
        let duration = Duration.milliseconds(Int((minutes * 60_000).rounded()))
        print("churn --seed \(seed) --minutes \(minutes) --origins \(origins) --callers \(callers)")
        let limit = duration + .seconds(90)
        try Watchdog.start().begin(limit: limit) { "HANGS after \(limit.messageText); repeat with --seed \(seed)" }
        let report = try await ChurnRun.run(seed: seed, origins: origins, callers: callers, duration: duration)
        let verdicts = report.verdicts
        print(report.sampleTable())
        print("")
        print("The tested part begins at sample \(ChurnReport.warmUp(report.samples.count) + 1).")
        print(ChurnReport.trendTable(verdicts))
        print("")
        print(report.tally.text)
        let violations = report.violations(verdicts)
        for violation in violations { print("FAILED \(violation)") }
        guard violations.isEmpty else {
            print("repeat with --seed \(seed)")
            throw ExitCode(1)
        }
        print("nothing grew, and nothing was left")
    }
}
