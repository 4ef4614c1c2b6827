import BowlineTesting
import NIOCore
import NIOHPACK
import Testing

@testable import BowlineTransport

@Suite("How many bytes a field section takes")
struct HTTP2FieldSectionSizeTests {
    private func encoded(_ headers: HPACKHeaders, by encoder: inout HPACKEncoder) throws -> Int {
        var bytes = ByteBuffer()
        try encoder.encode(headers: headers, to: &bytes)
        return bytes.readableBytes
    }

    @Test(
        "the length of every character in the Huffman code, and of lengths around each step of their own, is the encoder's"
    )
    func lengths() throws {
        let texts =
            (0..<0x800).compactMap { Unicode.Scalar($0).map { String($0) } } + ["", "\u{FFFD}", "😀"]
            + [125, 126, 127, 128, 129, 253, 254, 255, 256, 16_000, 20_000, 40_000].map {
                String(repeating: "0", count: $0)
            }
        for text in texts {
            // Never put into the table, and the name is one of the static ones: a byte, two with the longer prefix.
            var headers = HPACKHeaders()
            headers.add(name: "cookie", value: text, indexing: .neverIndexed)
            var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
            #expect(
                try encoded(headers, by: &encoder) == 2 + HTTP2FieldSectionSize.length(of: text), "\(text.prefix(3))")
        }
    }

    @Test(
        "the bound is never below what an encoder writes, whatever its table holds and however often its size changed")
    func bound() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for _ in 0..<20 {
            var encoder = HPACKEncoder(allocator: ByteBufferAllocator())
            for _ in 0..<12 {
                if Bool.random(using: &random) {
                    for _ in 0..<Int.random(in: 1...3, using: &random) {
                        try encoder.setDynamicTableSize(
                            [0, 30, 4096, 70_000, Int(UInt32.max)].randomElement(using: &random) ?? 0)
                    }
                }
                let headers = headers(&random)
                let size = try encoded(headers, by: &encoder)
                #expect(size <= HTTP2FieldSectionSize.upperBound(of: headers), "seed \(seed)")
            }
        }
    }

    @Test("a head that is called harmless takes less than the smallest frame, whatever it is made of")
    func harmless() throws {
        // The dearest character, alone in as many fields as possible or all in one; and as many cookies as fit.
        let dear = "\u{1}"
        let most = HTTP2FieldSectionSize.harmlessHead
        let forms = [
            HPACKHeaders((0..<most / 6).map { ("x\($0 % 10)", dear) }),
            HPACKHeaders([("x", String(repeating: dear, count: most))]),
            HPACKHeaders((0..<most / 2).map { _ in ("cookie", dear) }),
        ]
        for headers in forms {
            var encoder = HPACKEncoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: 0)
            // The pseudo-fields beside them come out of the names that HTTP/1.1 puts around a head: 100 bytes at 30 bits.
            #expect(try encoded(headers, by: &encoder) + 375 + 12 <= 16_384)
        }
    }

    private func headers(_ random: inout SeededRandom) -> HPACKHeaders {
        var headers = HPACKHeaders()
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            let name =
                ["a", ":path", "cookie", "x-name", "accept", "authorization"].randomElement(using: &random) ?? "a"
            let character = ["a", "\u{1}", "{", "0", "é", "~"].randomElement(using: &random) ?? "a"
            let indexing: NIOHPACK.HPACKIndexing = Bool.random(using: &random) ? .indexable : .neverIndexed
            let count = [0, 1, 3, 100, 1000].randomElement(using: &random) ?? 0
            headers.add(name: name, value: String(repeating: character, count: count), indexing: indexing)
        }
        return headers
    }
}
