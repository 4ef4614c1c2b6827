/// Seeds whose simulations once violated a rule. A test replays each of them.
///
/// When a run prints a seed that fails, add the seed here with the fault, and repair the fault. If the plans that seeds
/// draw change, a seed no longer repeats its old fault. So add a test of its own for each fault, too.
enum SimulationKeptSeeds {
    static let all: [KeptSeed] = [
        KeptSeed(
            seed: 3,
            fault: "A connection that ended within its first HTTP/2 frame failed as protocolViolation, without a retry."
        ),
        KeptSeed(seed: 9, fault: "The judge took the GET after a redirect for a second execution of the POST."),
        KeptSeed(seed: 1477, fault: "The judge counted retries of which nothing was sent against the budget."),
    ]
}
