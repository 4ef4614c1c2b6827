import Foundation
import FuzzTargets
import Testing

/// The fuzz targets without a fuzzer: the committed inputs, and inputs near them.
@Suite struct FuzzCorpusTests {
    @Test("Each committed input keeps the promises of its target", arguments: FuzzTarget.allCases)
    func corpus(target: FuzzTarget) throws {
        let inputs = try Self.inputs(of: target)
        #expect(inputs.count >= 10, "\(target) has \(inputs.count) inputs in Fuzz/Corpus")
        for (name, bytes) in inputs {
            Self.expectKept(target, bytes, "\(target)/\(name)")
        }
    }

    @Test("Inputs near the committed ones keep the promises of their target", arguments: FuzzTarget.allCases)
    func mutations(target: FuzzTarget) throws {
        let seed = UInt64.random(in: .min ... .max)
        print("FuzzCorpusTests seed of \(target): \(seed)")
        var random = MutationSource(seed: seed)
        let inputs = try Self.inputs(of: target).map(\.bytes)
        for (index, bytes) in inputs.enumerated() {
            for round in 0..<8 {
                let mutated = random.mutate(bytes, with: inputs)
                Self.expectKept(target, mutated, "seed \(seed), input \(index), round \(round)")
            }
        }
    }

    @Test("An empty input and a single byte are inputs too", arguments: FuzzTarget.allCases)
    func smallest(target: FuzzTarget) {
        Self.expectKept(target, [], "no byte")
        for byte in UInt8.min ... .max { Self.expectKept(target, [byte], "byte \(byte)") }
    }

    @Test("Each target has a dictionary or needs none, and each folder of inputs has a target")
    func folders() throws {
        let names = Set(FuzzTarget.allCases.map(\.rawValue))
        let corpus = try FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: "Corpus").path)
        #expect(Set(corpus) == names)
        let dictionaries = try FileManager.default.contentsOfDirectory(
            atPath: Self.folder.appending(path: "Dictionaries").path)
        for file in dictionaries {
            #expect(names.contains(String(file.dropLast(".dict".count))), "\(file) belongs to no target")
        }
    }

    private static func expectKept(_ target: FuzzTarget, _ bytes: [UInt8], _ what: String) {
        do {
            try bytes.withUnsafeBytes { try target.check($0) }
        } catch {
            let digits = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            Issue.record("\(what): \(String("\(error)".prefix(2_000))); the input in hexadecimal digits: \(digits)")
        }
    }

    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz")

    private static func inputs(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let corpus = folder.appending(path: "Corpus").appending(path: target.rawValue)
        let names = try FileManager.default.contentsOfDirectory(atPath: corpus.path).sorted()
        return try names.map { ($0, Array(try Data(contentsOf: corpus.appending(path: $0)))) }
    }
}

/// Draws changes of an input from a seed (SplitMix64).
private struct MutationSource: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// One to four changes: a byte, a piece taken out, doubled, or put in from another input.
    mutating func mutate(_ bytes: [UInt8], with others: [[UInt8]]) -> [UInt8] {
        let telling = Array("\r\n :;,=\"<>%/?#.0\0\u{7F}".utf8) + [0xFF, 0x80, 0xEF, 0xBB, 0xBF]
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) {
            let start = Int.random(in: 0...bytes.count, using: &self)
            let end = min(bytes.count, start + Int.random(in: 0...8, using: &self))
            switch Int.random(in: 0...4, using: &self) {
            case 0: bytes.removeSubrange(start..<end)
            case 1: bytes.insert(contentsOf: bytes[start..<end], at: start)
            case 2: bytes.insert(telling.randomElement(using: &self) ?? 0, at: start)
            case 3: bytes.append(UInt8.random(in: .min ... .max, using: &self))
            default:
                let other = others.randomElement(using: &self) ?? []
                bytes.replaceSubrange(start..., with: other.suffix(Int.random(in: 0...64, using: &self)))
            }
        }
        return bytes
    }
}
