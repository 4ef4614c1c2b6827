internal import ArgumentParser

/// The tool `bowline`: shows what the SDK does to a URL, for people at a terminal, and scripts.
@main
struct BowlineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bowline",
        abstract: "Sends HTTP requests the way a program on Bowline does, and says what became of them.",
        subcommands: [RequestCommand.self]
    )
}
