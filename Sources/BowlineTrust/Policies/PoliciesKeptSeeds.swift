/// Seeds whose simulations of the policies once violated a rule. A test replays each of them.
///
/// When a run prints a seed that fails, add the seed here with the fault, and repair the fault. If the plans that seeds
/// draw change, a seed no longer repeats its old fault. So add a test of its own for each fault, too.
enum PoliciesKeptSeeds {
    static let all: [KeptSeed] = []
}
