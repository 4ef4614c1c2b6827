/// A second implementation of the character classes of RFC 9110. The targets compare the code with it.
enum FuzzGrammar {
    /// Whether a byte may be in a token (RFC 9110 §5.6.2).
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// Whether a byte may be in a field's value (RFC 9110 §5.5).
    static func isText(_ byte: UInt8) -> Bool { byte == 0x09 || (byte >= 0x20 && byte != 0x7F) }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// Whether no byte is a control character. A tab counts as one.
    static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }

    /// Checks a delivered field: its name is a token, and its value is trimmed and has no control characters.
    static func checkField(name: String, value: String) throws {
        try promise(!name.isEmpty && name.utf8.allSatisfy(isToken), "a field's name is a token")
        try promise(value.utf8.allSatisfy(isText), "a value of \(name) has no control character")
        let isTrimmed = !(value.utf8.first.map(isSpace) ?? false) && !(value.utf8.last.map(isSpace) ?? false)
        try promise(isTrimmed, "a value of \(name) has no whitespace around it")
    }
}
