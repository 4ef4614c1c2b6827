/// The result of the simulation of one seed.
struct SeedOutcome: Sendable {
    /// One of so many seeds is run twice, to compare the traces.
    static let repeatInterval: UInt64 = 20

    let seed: UInt64
    var calls = 0
    /// How the calls ended, and how often events happened.
    var figures: [String: Int] = [:]
    var violations: [String] = []
    var trace: [String] = []

    init(seed: UInt64) {
        self.seed = seed
    }

    /// Whether the seed is run a second time.
    var isRepeated: Bool { seed % Self.repeatInterval == 0 }

    /// Adds a violation if a second run of the seed had another trace.
    mutating func compare(with again: [String]) {
        if let difference = Self.difference(trace, again) { violations.append(difference) }
    }

    /// The first difference between the traces of two runs of the same seed. nil: they are equal.
    static func difference(_ one: [String], _ other: [String]) -> String? {
        guard one != other else { return nil }
        for (index, (left, right)) in zip(one, other).enumerated() where left != right {
            return "a second run differs at line \(index + 1): \"\(left)\" and \"\(right)\""
        }
        return "a second run has \(other.count) lines, not \(one.count)"
    }
}
