/// When each request of a run is due: a fixed number per second, however long each request takes.
struct Pace: Sendable, Hashable {
    /// The rates that a command line may ask for.
    static let rates = 0.001...100_000
    /// Longer than any useful run, and too short for the nanoseconds to overflow.
    private static let longestRun = 1e9

    let perSecond: Double

    /// Returns when the request with this index is due, counted from the moment when the first one is due.
    func due(_ index: Int) -> Duration {
        .nanoseconds(Int64((min(Double(index) / perSecond, Self.longestRun) * 1e9).rounded()))
    }
}
