internal import ArgumentParser
internal import BowlinePlatform

/// The tool `bowline`: shows what the SDK does to a URL, for people at a terminal, and scripts.
@main
struct BowlineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bowline",
        abstract: "Sends HTTP requests the way a program on Bowline does, and says what became of them.",
        subcommands: [RequestCommand.self]
    )

    /// What the runtime's threads open when the first of them starts: one that gets none ends the process.
    private static let descriptorsOfRuntime = 2

    /// Starts on the main thread, before the runtime has started one of its own.
    @MainActor
    static func main() async {
        if let reason = SpareResources.lackOfDescriptors(descriptorsOfRuntime) {
            var message =
                "Error: bowline needs \(descriptorsOfRuntime) more file descriptors: \(reason); raise the limit (ulimit -n)\n"
            message.withUTF8 { _ = DescriptorWriting.writeAll(UnsafeRawBufferPointer($0), to: STDERR_FILENO) }
            TerminationSignals.leave()
        }
        await main(nil)
    }
}
