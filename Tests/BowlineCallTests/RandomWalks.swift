import Foundation

/// How many random walks a test takes through a machine, and how long each is.
///
/// `make test` takes few. `make walks` takes 100,000 through each machine: the environment variable `BOWLINE_WALKS` is
/// their number.
struct RandomWalks {
    let count: Int
    let steps: Int

    /// The walks of a usual test run, or as many as the environment says. Those are shorter.
    static func usually(_ count: Int, steps: Int) -> RandomWalks {
        guard let asked = getenv("BOWLINE_WALKS").flatMap({ Int(String(cString: $0)) }), asked > 0 else {
            return RandomWalks(count: count, steps: steps)
        }
        return RandomWalks(count: asked, steps: min(steps, 100))
    }
}
