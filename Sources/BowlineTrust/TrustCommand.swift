internal import ArgumentParser

/// The tool `bowline-trust`: runs clients against servers and paths that misbehave, and counts the errors.
///
/// For developers of Bowline. Each subcommand prints a table, and exits with status 1 if a figure is beyond its limit.
@main
struct TrustCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bowline-trust",
        abstract: "Runs Bowline against servers and paths that misbehave, and counts the errors.",
        subcommands: [
            LedgerCommand.self, SilenceCommand.self, ChurnCommand.self, IdleRaceCommand.self, StreamsCommand.self,
            StalledCommand.self, StalledPeerCommand.self, SimulateCommand.self, SimulationCommand.self,
            PoliciesCommand.self,
        ]
    )
}
