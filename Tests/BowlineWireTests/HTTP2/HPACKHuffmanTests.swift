import BowlineTransport
import Testing

/// The Huffman code of RFC 7541, Appendix B, and the padding of §5.2.
@Suite struct HPACKHuffmanTests {
    /// Decodes by both functions, which must agree, and checks that no byte is written behind the text.
    private func decoded(_ bytes: [UInt8]) -> [UInt8]? {
        bytes.withUnsafeBytes { source -> [UInt8]? in
            let count = HPACKHuffman.shared.decodedCount(of: source)
            var text = [UInt8](repeating: 0xEE, count: source.count * 8 / 5 + 8)
            let written = text.withUnsafeMutableBytes { memory -> Int? in
                guard let target = memory.baseAddress else { return nil }
                return HPACKHuffman.shared.decode(source, into: target)
            }
            #expect(written == count)
            guard let written else { return nil }
            #expect(text[written...].allSatisfy { $0 == 0xEE })
            return Array(text.prefix(written))
        }
    }

    /// Encodes, and checks that no byte is written behind the code.
    private func encoded(_ text: [UInt8]) -> [UInt8] {
        text.withUnsafeBytes { source -> [UInt8] in
            let count = HPACKHuffman.shared.encodedCount(of: source)
            var bytes = [UInt8](repeating: 0xEE, count: count + 8)
            bytes.withUnsafeMutableBytes { memory in
                if let target = memory.baseAddress { HPACKHuffman.shared.encode(source, into: target) }
            }
            #expect(bytes[count...].allSatisfy { $0 == 0xEE })
            return Array(bytes.prefix(count))
        }
    }

    @Test("Every symbol has the RFC's code, both ways, at each of the eight places in a byte")
    func everyCode() {
        for symbol in UInt8.min ... .max {
            // `0` has five bits, so that up to seven of them begin the code at every bit.
            for before in 0..<8 {
                let text = [UInt8](repeating: 0x30, count: before) + [symbol]
                let bytes = HPACKTestHuffman.encoded(text)
                #expect(encoded(text) == bytes)
                #expect(decoded(bytes) == text)
            }
        }
    }

    @Test("Texts of any bytes and lengths are encoded as the RFC's codes require, and decode to the same text")
    func texts() {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKHuffmanTests seed of texts: \(seed)")
        var random = SeededRandom(seed: seed)
        for round in 0..<1_500 {
            let range: ClosedRange<UInt8> = round.isMultiple(of: 2) ? 0x20...0x7E : UInt8.min ... .max
            let text = (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: range, using: &random) }
            let bytes = HPACKTestHuffman.encoded(text)
            #expect(encoded(text) == bytes, "seed \(seed), round \(round)")
            #expect(decoded(bytes) == text, "seed \(seed), round \(round)")
        }
    }

    @Test("Any bytes decode as the RFC's codes require, or are refused")
    func anyBytes() {
        let seed = UInt64.random(in: .min ... .max)
        print("HPACKHuffmanTests seed of any bytes: \(seed)")
        var random = SeededRandom(seed: seed)
        for first in UInt8.min ... .max {
            #expect(decoded([first]) == HPACKTestHuffman.decoded([first]))
        }
        let likely: [UInt8] = [0xFF, 0xFE, 0x7F, 0xF8, 0x00]
        for round in 0..<6_000 {
            let bytes = (0..<Int.random(in: 2...24, using: &random)).map { _ in
                round.isMultiple(of: 2)
                    ? UInt8.random(in: .min ... .max, using: &random) : likely.randomElement(using: &random) ?? 0
            }
            #expect(decoded(bytes) == HPACKTestHuffman.decoded(bytes), "seed \(seed), round \(round): \(bytes)")
        }
    }

    @Test("Padding is at most seven ones")
    func padding() {
        for symbol in UInt8.min ... .max {
            let bits = HPACKTestHuffman.bits(of: Int(symbol))
            let right = HPACKTestHuffman.packed(bits, padding: 1)
            #expect(decoded(right) == [symbol])
            // A whole byte of ones behind the code.
            #expect(decoded(right + [0xFF]) == nil)
            guard !bits.count.isMultiple(of: 8) else { continue }
            // The last bit of the padding is 0.
            #expect(decoded(Array(right.dropLast()) + [(right.last ?? 0) & 0xFE]) != [symbol])
        }
        #expect(decoded([]) == [])
        // `0` and three zeros; then eight ones alone.
        #expect(decoded([0x00]) == nil)
        #expect(decoded([0xFF]) == nil)
    }

    @Test("A code that does not end is refused, wherever it is cut")
    func cut() {
        for symbol in UInt8.min ... .max {
            let bits = HPACKTestHuffman.bits(of: Int(symbol))
            for count in stride(from: 8, to: bits.count, by: 8) {
                #expect(decoded(HPACKTestHuffman.packed(Array(bits.prefix(count)), padding: 1)) == nil)
            }
        }
    }

    @Test("EOS is refused at the beginning, within and at the end of a text")
    func endOfString() {
        let letter = HPACKTestHuffman.bits(of: 0x61)
        let end = HPACKTestHuffman.bits(of: 256)
        for before in 0..<10 {
            for after in 0..<10 {
                let bits =
                    Array(repeatElement(letter, count: before).joined()) + end
                    + Array(repeatElement(letter, count: after).joined())
                #expect(decoded(HPACKTestHuffman.packed(bits, padding: 1)) == nil)
            }
        }
    }
}
