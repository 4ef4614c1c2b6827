internal import ArgumentParser

/// `bowline request`: makes a plan from the command line, runs it, and exits with its status.
struct RequestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request",
        abstract: "Sends requests to URLs and reports on each.",
        discussion: """
            Times are in seconds, with fractions. SIGINT and SIGTERM begin a shutdown: requests in flight finish, new \
            requests are refused. A second signal cuts off the requests that are still in flight.

            Exit status: 0 no request failed, 1 a request failed or the output could not be written, 64 the command \
            line is wrong. A whole response is a success, whatever its status, unless --fail. A request that a \
            shutdown refused has not failed.
            """
    )

    @Argument(help: ArgumentHelp("Absolute URLs, requested in turn.", valueName: "url"))
    var urls: [String] = []

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

    @OptionGroup(title: "Resilience")
    var resilience: ResilienceArguments

    /// Checks the command line before `run()`, so that an error is shown with the usage of this command.
    func validate() throws {
        _ = try RequestPlan(self)
    }

    func run() async throws {
        let plan = try RequestPlan(self)
        let status = try await RequestRun(plan).run()
        throw ExitCode(status)
    }
}
