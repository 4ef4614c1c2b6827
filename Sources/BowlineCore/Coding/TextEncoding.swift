package import NIOCore

/// The text encodings that Bowline decodes, by the names that `Content-Type` uses for them (RFC 2046 §4.1.2).
package enum TextEncoding: Sendable, Hashable {
    case utf8, ascii, latin1, windows1252, utf16LittleEndian, utf16BigEndian

    /// Finds the encoding of a `charset`; nil: unknown. The names are from the IANA registry and from browsers.
    init?(charset name: some StringProtocol) {
        guard let encoding = Self.names[name.lowercased()] else { return nil }
        self = encoding
    }

    private static let names: [String: TextEncoding] = [
        "utf-8": .utf8, "utf8": .utf8, "unicode-1-1-utf-8": .utf8,
        "us-ascii": .ascii, "ascii": .ascii, "ansi_x3.4-1968": .ascii, "iso646-us": .ascii,
        "iso-8859-1": .latin1, "iso_8859-1": .latin1, "iso8859-1": .latin1, "latin1": .latin1, "latin-1": .latin1,
        "l1": .latin1, "cp819": .latin1, "ibm819": .latin1,
        "windows-1252": .windows1252, "cp1252": .windows1252, "cp-1252": .windows1252, "x-cp1252": .windows1252,
        "utf-16": .utf16LittleEndian, "utf16": .utf16LittleEndian, "utf-16le": .utf16LittleEndian,
        "utf-16be": .utf16BigEndian,
    ]

    /// Returns the text of a body. As in browsers, a byte order mark takes precedence over `charset`, and is dropped.
    /// Without a mark and a `charset`, the encoding is UTF-8.
    package static func text(of bytes: ByteBuffer, contentType: String?) -> String {
        if let (encoding, length) = mark(of: bytes) {
            return encoding.text(bytes.readableBytesView.dropFirst(length))
        }
        let encoding = contentType.flatMap(charset).flatMap { TextEncoding(charset: $0) } ?? .utf8
        return encoding.text(bytes.readableBytesView)
    }

    /// Returns the encoding that a byte order mark names, and the mark's length in bytes; nil: there is no mark.
    private static func mark(of bytes: ByteBuffer) -> (encoding: TextEncoding, length: Int)? {
        let beginning = bytes.readableBytesView.prefix(3)
        if beginning.elementsEqual([0xEF, 0xBB, 0xBF]) { return (.utf8, 3) }
        if beginning.starts(with: [0xFF, 0xFE]) { return (.utf16LittleEndian, 2) }
        if beginning.starts(with: [0xFE, 0xFF]) { return (.utf16BigEndian, 2) }
        return nil
    }

    /// Returns the first `charset` parameter of a media type, without its quotation marks.
    private static func charset(of contentType: String) -> Substring? {
        for parameter in contentType.utf8.split(separator: UInt8(ascii: ";")).dropFirst() {
            let parts = parameter.split(separator: UInt8(ascii: "="), maxSplits: 1).map(trimmed)
            guard parts.count == 2, Substring(parts[0]).lowercased() == "charset" else { continue }
            var value = parts[1]
            for quotationMark in "\"'".utf8 where value.first == quotationMark && value.last == quotationMark {
                value = value.dropFirst().dropLast()
            }
            return Substring(value)
        }
        return nil
    }

    private static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text = text.dropLast() }
        return text
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private func text(_ bytes: ByteBufferView) -> String {
        switch self {
        case .utf8: String(decoding: bytes, as: UTF8.self)
        case .ascii: Self.text(bytes) { $0 < 0x80 ? Unicode.Scalar($0) : "\u{FFFD}" }
        case .latin1: Self.text(bytes) { Unicode.Scalar($0) }
        case .windows1252:
            Self.text(bytes) { (0x80...0x9F).contains($0) ? Self.specials[Int($0 - 0x80)] : Unicode.Scalar($0) }
        case .utf16LittleEndian: Self.text(bytes, isBigEndian: false)
        case .utf16BigEndian: Self.text(bytes, isBigEndian: true)
        }
    }

    private static func text(_ bytes: ByteBufferView, _ scalar: (UInt8) -> Unicode.Scalar) -> String {
        var text = String.UnicodeScalarView()
        text.reserveCapacity(bytes.count)
        for byte in bytes { text.append(scalar(byte)) }
        return String(text)
    }

    /// Decodes UTF-16. An incomplete code unit at the end, or half of a surrogate pair, becomes U+FFFD.
    private static func text(_ bytes: ByteBufferView, isBigEndian: Bool) -> String {
        var units: [UInt16] = []
        units.reserveCapacity(bytes.count / 2 + 1)
        var first: UInt8?
        for byte in bytes {
            guard let earlier = first else {
                first = byte
                continue
            }
            let (high, low) = isBigEndian ? (earlier, byte) : (byte, earlier)
            units.append(UInt16(high) << 8 | UInt16(low))
            first = nil
        }
        if first != nil { units.append(0xFFFD) }
        return String(decoding: units, as: UTF16.self)
    }

    /// The characters of windows-1252 at 0x80 to 0x9F. The five bytes that windows-1252 does not define become control
    /// characters, as in browsers.
    private static let specials: [Unicode.Scalar] = [
        "\u{20AC}", "\u{81}", "\u{201A}", "\u{192}", "\u{201E}", "\u{2026}", "\u{2020}", "\u{2021}",
        "\u{2C6}", "\u{2030}", "\u{160}", "\u{2039}", "\u{152}", "\u{8D}", "\u{17D}", "\u{8F}",
        "\u{90}", "\u{2018}", "\u{2019}", "\u{201C}", "\u{201D}", "\u{2022}", "\u{2013}", "\u{2014}",
        "\u{2DC}", "\u{2122}", "\u{161}", "\u{203A}", "\u{153}", "\u{9D}", "\u{17E}", "\u{178}",
    ]
}
