import BowlineTransport
import CorpusSupport
import NIOCore
import Testing

/// Walks of random damage over the corpus: whatever arrives, the parser comes to one verdict, at any pace, in bounded
/// memory.
@Suite struct ResponseMutationTests {
    @Test(
        "Damaged corpus cases get the same verdict whole and cut, without a trap and within the limits", .tags(.I3))
    func mutations() throws {
        let seed = UInt64.random(in: .min ... .max)
        print("ResponseMutationTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        let cases = try Corpus.load().filter { $0.bytes.count < 2_048 }
        for round in 0..<6_000 {
            let picked = try #require(cases.randomElement(using: &random))
            let other = try #require(cases.randomElement(using: &random))
            let bytes = damaged(picked.bytes, other.bytes, using: &random)
            let whole = read(bytes, picked, in: bytes.count...max(bytes.count, 1), using: &random)
            let cut = read(bytes, picked, in: 1...5, using: &random)
            let isSame =
                whole.observation.outcome == .failed
                ? cut.observation.outcome == .failed : whole.observation == cut.observation
            if !isSame {
                Issue.record("seed \(seed), round \(round), \(picked.id): \(bytes)")
                return
            }
        }
    }

    @Test("Random bytes after a valid beginning get one verdict", .tags(.I3))
    func garbage() {
        let seed = UInt64.random(in: .min ... .max)
        print("ResponseMutationTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        let starts = [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"", "HTTP/1.1 200 OK\r\nX: a\r\n ",
        ]
        let likely = Array("\r\n\r\n :;=\"\\,0123456789abcdefX\t\u{0}".utf8)
        for round in 0..<4_000 {
            let start = Array((starts.randomElement(using: &random) ?? "").utf8)
            let bytes =
                start
                + (0..<Int.random(in: 0...60, using: &random)).map { _ in
                    likely.randomElement(using: &random) ?? UInt8.random(in: 0...255, using: &random)
                }
            var whole = ResponseReader(to: .other)
            whole.receive(bytes)
            whole.receiveEOF()
            var cut = ResponseReader(to: .other)
            for byte in bytes { cut.receive([byte]) }
            cut.receiveEOF()
            #expect(whole.observation.outcome == cut.observation.outcome, "seed \(seed), round \(round): \(bytes)")
            #expect(whole.observation.outcome != .undecided)
        }
    }

    private func read(
        _ bytes: [UInt8], _ corpusCase: CorpusCase, in sizes: ClosedRange<Int>, using random: inout SeededRandom
    ) -> ResponseReader {
        var reader = ResponseReader(answering: corpusCase.method)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Int.random(in: sizes, using: &random)
            reader.receive(rest.prefix(count))
            rest = rest.dropFirst(count)
            #expect(reader.parser.bufferedByteCount <= 65_536)
        }
        reader.receiveEOF()
        return reader
    }

    /// Flips, drops, repeats, inserts and splices, one to four times.
    private func damaged(_ bytes: [UInt8], _ other: [UInt8], using random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        let telling = Array("\r\n :;,=\"0159afHTP/.\t\u{0}\u{7F}".utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let position = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, position + Int.random(in: 1...12, using: &random))
            switch Int.random(in: 0...5, using: &random) {
            case 0: bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 1: bytes.removeSubrange(position..<end)
            case 2: bytes.insert(contentsOf: bytes[position..<end], at: position)
            case 3: bytes.insert(telling.randomElement(using: &random) ?? 0, at: position)
            case 4: bytes[position] = telling.randomElement(using: &random) ?? 0
            default: bytes.replaceSubrange(position..., with: other.suffix(Int.random(in: 0...200, using: &random)))
            }
        }
        return bytes
    }
}
