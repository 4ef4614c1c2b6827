internal import BowlinePlatform

/// A random number generator (SplitMix64) that repeats its numbers for the same seed, so that a failed test can be
/// repeated.
///
/// It is a value: each copy continues independently.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    /// The seed that the generator was made with.
    public let seed: UInt64
    private var state: UInt64

    /// Makes a generator with a seed.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// Makes a generator with the seed in the environment variable `BOWLINE_SEED` (decimal, or hexadecimal after `0x`),
    /// or with a random seed. Prints the seed, so that a failed run can be repeated.
    ///
    /// - Parameter label: A label that is printed beside the seed. Default: the name of the calling function.
    public static func fromEnvironment(_ label: String = #function) -> SeededRandom {
        let given = getenv("BOWLINE_SEED").flatMap { parse(String(cString: $0)) }
        let random = SeededRandom(seed: given ?? .random(in: 0 ... .max))
        print("BOWLINE_SEED=\(random.seed) \(label)")
        return random
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Returns the next number, from 0 up to but not including 1.
    public mutating func nextDouble() -> Double {
        Double(next() >> 11) * 0x1p-53
    }

    /// Returns the next number in a range.
    public mutating func next(in range: Range<Int>) -> Int {
        Int.random(in: range, using: &self)
    }

    /// Returns the next Boolean, which is true with this probability, from 0 to 1.
    public mutating func nextBool(probability: Double = 0.5) -> Bool {
        nextDouble() < probability
    }

    /// Returns a function that yields this sequence as numbers from 0 up to but not including 1. Use it where a
    /// configuration takes a source of randomness. It may be called from any thread, and continues independently of
    /// this value.
    public func source() -> @Sendable () -> Double {
        let shared = Shared(self)
        return { shared.nextDouble() }
    }

    static func parse(_ text: String) -> UInt64? {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
    }

    private final class Shared: Sendable {
        private let random: Guarded<SeededRandom>

        init(_ random: SeededRandom) {
            self.random = Guarded(random)
        }

        func nextDouble() -> Double {
            random.withLock { $0.nextDouble() }
        }
    }
}
