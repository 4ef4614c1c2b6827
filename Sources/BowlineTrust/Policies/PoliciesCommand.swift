internal import ArgumentParser

/// `bowline-trust policies`: runs retries, redirects, credentials, drain and all resilience policies together on virtual
/// time, for many seeds.
struct PoliciesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policies",
        abstract: "Runs retries, redirects, credentials, drain and all resilience policies together, for many seeds.",
        discussion: """
            Each seed draws a client, services that misbehave, calls and a shutdown. Everything runs on one thread and on \
            virtual time, without a network, so the same seed gives the same run. See Docs/Simulation.md.

            Exit status: 0 if no rule was violated, 1 if a rule was violated, 64 if the command line is wrong.
            """
    )

    @OptionGroup
    var options: SeedOptions

    func run() async throws {
        try await options.run("policies", kept: PoliciesKeptSeeds.all, required: PoliciesSuite.required) {
            await PoliciesSuite.outcome(of: $0)
        }
    }
}
