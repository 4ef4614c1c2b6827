import Testing

@testable import BowlineCore
@testable import BowlineTransport

/// Scanning eight bytes at a time must find the same place as scanning each byte.
@Suite("Scans that take eight bytes at a time")
struct WordScanTests {
    private static let letters = [UInt8]("Content-Type-X-y-accept-Z".utf8)

    /// Calls the body with each byte at each place of texts of each length.
    private func forEachText(_ body: ([UInt8]) -> Void) {
        for length in 0...Self.letters.count {
            body(Array(Self.letters.prefix(length)))
            for place in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var text = Array(Self.letters.prefix(length))
                    text[place] = byte
                    body(text)
                }
            }
        }
    }

    @Test("The end of a token is the first byte that is not a token byte, wherever it is")
    func token() {
        forEachText { text in
            let expected = text.firstIndex { !HTTP1Grammar.isToken($0) } ?? text.count
            let found = text.withUnsafeBytes { HTTP1Grammar.endOfToken(in: $0, from: 0) }
            if found != expected { Issue.record("\(text): \(found), not \(expected)") }
        }
    }

    @Test("The end of a token is found from any start, also after bytes that are no token")
    func tokenFromStart() {
        let text = [UInt8](":a b-c\u{1}d,Content-Type: x".utf8)
        for start in 0...text.count {
            let expected = text[start...].firstIndex { !HTTP1Grammar.isToken($0) } ?? text.count
            #expect(text.withUnsafeBytes { HTTP1Grammar.endOfToken(in: $0, from: start) } == expected)
        }
    }

    @Test("A token is RFC 9110's: letters, digits and fifteen others")
    func isToken() {
        let others = Set("!#$%&'*+-.^_`|~".utf8)
        for byte in UInt8.min...UInt8.max {
            let isOne =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || others.contains(byte)
            #expect(HTTP1Grammar.isToken(byte) == isOne)
        }
    }

    @Test("A byte equals a text's byte if it is that byte, or its capital letter, wherever it is")
    func equality() {
        let names = ["content-length", "te", "connection", "x-1_2.3{@[`~-names", "transfer-encoding"]
        for name in names.map({ [UInt8]($0.utf8) }) {
            for place in name.indices {
                for byte in UInt8.min...UInt8.max {
                    var received = name
                    received[place] = byte
                    let isLetter = (0x61...0x7A).contains(name[place])
                    let expected = byte == name[place] || isLetter && byte == name[place] - 0x20
                    let found = received.withUnsafeBytes { received in
                        name.withUnsafeBytes { received.equals(lowercased: $0) }
                    }
                    if found != expected { Issue.record("\(received) and \(name): \(found)") }
                }
            }
        }
    }

    @Test("All letters may be capitals, and lengths must be the same")
    func equalityOfAll() {
        for count in 0...26 {
            let lower = (0..<count).map { UInt8(0x61 + $0) }
            let upper = lower.map { $0 - 0x20 }
            for other in 0...26 {
                let name = (0..<other).map { UInt8(0x61 + $0) }
                let found = upper.withUnsafeBytes { upper in name.withUnsafeBytes { upper.equals(lowercased: $0) } }
                #expect(found == (count == other))
            }
        }
    }
}
