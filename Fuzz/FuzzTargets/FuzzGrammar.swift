/// The character classes of RFC 9110, written a second time: what the targets compare the code with.
enum FuzzGrammar {
    /// RFC 9110 §5.6.2.
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }

    /// What a field value may hold (RFC 9110 §5.5).
    static func isText(_ byte: UInt8) -> Bool { byte == 0x09 || (byte >= 0x20 && byte != 0x7F) }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// Whether no byte is a control character, tab included.
    static func isPrintable(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }

    /// Checks a field that was delivered: its name is a token, its value trimmed and without control characters.
    static func checkField(name: String, value: String) throws {
        try promise(!name.isEmpty && name.utf8.allSatisfy(isToken), "a field's name is a token")
        try promise(value.utf8.allSatisfy(isText), "a value of \(name) has no control character")
        let isTrimmed = !(value.utf8.first.map(isSpace) ?? false) && !(value.utf8.last.map(isSpace) ?? false)
        try promise(isTrimmed, "a value of \(name) has no whitespace around it")
    }
}
