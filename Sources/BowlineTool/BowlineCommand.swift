internal import ArgumentParser
internal import BowlinePlatform

/// The tool `bowline`: sends requests with the SDK and reports on them, for people at a terminal and for scripts.
@main
struct BowlineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bowline",
        abstract: "Sends HTTP requests as a program on Bowline does, and reports on each of them.",
        subcommands: [RequestCommand.self]
    )

    /// The number of file descriptors that the runtime opens when its first thread starts. If it gets no descriptor,
    /// the process ends.
    private static let descriptorsOfRuntime = 2

    /// Runs on the main thread, before the runtime has started a thread of its own.
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
