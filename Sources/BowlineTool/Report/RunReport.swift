/// Reports the events of a run, in JSON or in words.
struct RunReport: Sendable {
    private let plan: OutputPlan
    private let console: Console

    init(plan: OutputPlan, console: Console) {
        self.plan = plan
        self.console = console
    }

    /// Reports a request that has ended.
    func requestEnded(_ outcome: Outcome) {
        console.writeLine(
            plan.isJSON ? outcome.json(isVerbose: plan.isVerbose) : outcome.readable(isVerbose: plan.isVerbose)
        )
    }

    /// Reports that a signal has begun the shutdown.
    func drainBegan(limit: Duration) {
        console.note("draining: requests in flight get \(DecimalText.seconds(limit)) s; a second signal cuts them off")
    }

    /// Reports that a second signal has arrived.
    func forced() {
        console.note("cutting off the requests in flight")
    }

    /// Reports the summary at the end.
    func runEnded(_ summary: Summary) {
        console.endProgress()
        if plan.isJSON {
            // The JSON summary does not contain the failures, and with `--quiet` no line has reported them.
            if plan.isQuiet, let failures = summary.failureList { console.note(failures) }
            console.writeLine(summary.json)
        } else {
            console.writeLine(plan.isQuiet ? summary.readable : "\n" + summary.readable)
        }
    }
}
