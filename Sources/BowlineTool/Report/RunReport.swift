/// Says what happens, in JSON or in words.
struct RunReport: Sendable {
    private let plan: OutputPlan
    private let console: Console

    init(plan: OutputPlan, console: Console) {
        self.plan = plan
        self.console = console
    }

    /// A request is over.
    func requestEnded(_ outcome: Outcome) {
        console.writeLine(
            plan.isJSON ? outcome.json(isVerbose: plan.isVerbose) : outcome.readable(isVerbose: plan.isVerbose)
        )
    }

    /// A signal has begun the shutdown.
    func drainBegan(limit: Duration) {
        console.note("draining: what is in flight gets \(DecimalText.seconds(limit)) s; signal again to cut it off")
    }

    /// A second signal has come.
    func forced() {
        console.note("cutting off what is in flight")
    }

    /// Everything is over.
    func runEnded(_ summary: Summary) {
        console.endProgress()
        if plan.isJSON {
            // The summary in JSON has no place for them, and nothing else has said them.
            if plan.isQuiet, let failures = summary.failureList { console.note(failures) }
            console.writeLine(summary.json)
        } else {
            console.writeLine(plan.isQuiet ? summary.readable : "\n" + summary.readable)
        }
    }
}
