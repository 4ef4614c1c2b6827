import BowlineTesting
import Testing

@Suite("Seeded randomness")
struct SeededRandomTests {
    @Test("yields the numbers of SplitMix64")
    func referenceNumbers() {
        var random = SeededRandom(seed: 1_234_567)
        let expected: [UInt64] = [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
        ]
        #expect((0..<3).map { _ in random.next() } == expected)
        #expect(random.seed == 1_234_567)
    }

    @Test("The same seed yields the same numbers, and a copy continues independently")
    func repeats() {
        var first = SeededRandom(seed: 7)
        var second = first
        #expect((0..<10).map { _ in first.next() } == (0..<10).map { _ in second.next() })
    }

    @Test("Doubles are in 0..<1, and ranges and probabilities are respected")
    func ranges() {
        var random = SeededRandom.fromEnvironment()
        let source = random.source()
        var trues = 0
        for _ in 0..<10_000 {
            #expect((0..<1).contains(source()))
            let inRange = random.next(in: 3..<5)
            #expect((3..<5).contains(inRange))
            if random.nextBool(probability: 0.25) { trues += 1 }
        }
        #expect((2000..<3000).contains(trues))
        let (never, always) = (random.nextBool(probability: 0), random.nextBool(probability: 1))
        #expect((never, always) == (false, true))
    }

    @Test("a source may be shared by threads and yields the sequence once")
    func sharedSource() async {
        var random = SeededRandom(seed: 3)
        let source = random.source()
        let drawn = await withTaskGroup(of: [Double].self) { group in
            for _ in 0..<4 {
                group.addTask { (0..<250).map { _ in source() } }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(drawn.sorted() == (0..<1000).map { _ in random.nextDouble() }.sorted())
    }
}
