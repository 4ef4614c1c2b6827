internal import ArgumentParser

/// `bowline request`: what is asked on the command line becomes a plan, the plan is run, its outcome the exit status.
struct RequestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request",
        abstract: "Sends requests to URLs and says what became of each.",
        discussion: """
            Times are in seconds, with fractions. SIGINT and SIGTERM begin a shutdown: what is in flight finishes, what \
            is new is refused; a second signal cuts off what is left.

            Exit status: 0 no request failed (a whole response of any status has not, unless --fail; what a shutdown \
            refused has not), 1 some failed or nobody read the output, 64 the command line is wrong.
            """
    )

    @Argument(help: ArgumentHelp("Absolute URLs, asked in turn.", valueName: "url"))
    var urls: [String]

    @OptionGroup(title: "Message")
    var message: MessageArguments

    @OptionGroup(title: "Amount")
    var amount: AmountArguments

    @OptionGroup(title: "Output")
    var output: OutputArguments

    @OptionGroup(title: "Connections")
    var connections: ConnectionArguments

    @OptionGroup(title: "Time")
    var time: TimeArguments

    @OptionGroup(title: "Attempts")
    var attempts: AttemptArguments

    /// Refuses here what can be refused here, because then the usage that is shown with it is this command's.
    func validate() throws {
        _ = try RequestPlan(self)
    }

    func run() async throws {
        let plan = try RequestPlan(self)
        let status = try await RequestRun(plan).run()
        throw ExitCode(status)
    }
}
