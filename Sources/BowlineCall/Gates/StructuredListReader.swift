internal import BowlineCore

/// Reads a structured field whose value is a list of items with parameters (RFC 9651 §3.1), for example
/// `"burst";q=100;w=60, "daily";q=1000`. Allocates nothing.
///
/// Strict, as the RFC demands: a value with a syntax error, or with an inner list, cannot be read at all.
struct StructuredListReader {
    /// A bare item (RFC 9651 §3.3), as far as our fields need it.
    enum BareItem {
        case integer(Int64)
        /// A string or a token. The bytes are as received: escaped characters have their backslash.
        case text(UnsafeRawBufferPointer)
        /// A decimal, a Boolean, a byte sequence, a date or a display string.
        case other
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    /// Reads the whole list.
    ///
    /// - Parameters:
    ///   - item: Called with each item, before its parameters.
    ///   - parameter: Called with each parameter of the last item, in order. If a name occurs twice, the last value
    ///     counts. A parameter without a value is `true`, which is `.other`.
    /// - Returns: whether the value is a list; false: ignore everything that was read.
    mutating func read(
        item: (BareItem) -> Void, parameter: (_ name: UnsafeRawBufferPointer, BareItem) -> Void
    ) -> Bool {
        skipSpaces()
        guard !isAtEnd else { return true }
        while true {
            guard let value = readBareItem() else { return false }
            item(value)
            guard readParameters(parameter) else { return false }
            skipWhitespace()
            if isAtEnd { return true }
            guard take(UInt8(ascii: ",")) else { return false }
            skipWhitespace()
            if isAtEnd { return false }
        }
    }

    // MARK: Parts

    private mutating func readParameters(_ parameter: (UnsafeRawBufferPointer, BareItem) -> Void) -> Bool {
        while take(UInt8(ascii: ";")) {
            skipSpaces()
            guard let first = peek, Self.isLowercase(first) || first == UInt8(ascii: "*") else { return false }
            let name = takeWhile(Self.isInKey)
            guard take(UInt8(ascii: "=")) else {
                parameter(name, .other)
                continue
            }
            guard let value = readBareItem() else { return false }
            parameter(name, value)
        }
        return true
    }

    private mutating func readBareItem() -> BareItem? {
        guard let first = peek else { return nil }
        switch first {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return readNumber()
        case UInt8(ascii: "\""): return readString()
        case UInt8(ascii: ":"): return readByteSequence()
        case UInt8(ascii: "?"):
            position += 1
            return take(UInt8(ascii: "0")) || take(UInt8(ascii: "1")) ? .other : nil
        case UInt8(ascii: "@"):
            position += 1
            guard case .integer? = readNumber() else { return nil }
            return .other
        case UInt8(ascii: "%"): return readDisplayString()
        case _ where Self.isLetter(first) || first == UInt8(ascii: "*"):
            return .text(takeWhile(Self.isInToken))
        default: return nil
        }
    }

    /// An integer of at most 15 digits, or a decimal of at most 12 digits before the point and 1 to 3 after it.
    private mutating func readNumber() -> BareItem? {
        let isNegative = take(UInt8(ascii: "-"))
        let digits = takeWhile(Self.isDigit)
        guard (1...15).contains(digits.count) else { return nil }
        if take(UInt8(ascii: ".")) {
            let fraction = takeWhile(Self.isDigit)
            return digits.count <= 12 && (1...3).contains(fraction.count) ? .other : nil
        }
        let value = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        return .integer(isNegative ? -value : value)
    }

    private mutating func readString() -> BareItem? {
        position += 1
        let start = position
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                let text = slice(from: start)
                position += 1
                return .text(text)
            case UInt8(ascii: "\\"):
                position += 1
                guard let escaped = peek, escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    return nil
                }
                position += 1
            case 0x20...0x7E: position += 1
            default: return nil
            }
        }
        return nil
    }

    private mutating func readByteSequence() -> BareItem? {
        position += 1
        _ = takeWhile(Self.isInBase64)
        return take(UInt8(ascii: ":")) ? .other : nil
    }

    /// `%"…"`, with percent-encoded bytes in lower case. Whether the bytes are UTF-8 is not checked, because the text is
    /// not used.
    private mutating func readDisplayString() -> BareItem? {
        position += 1
        guard take(UInt8(ascii: "\"")) else { return nil }
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return .other
            case UInt8(ascii: "%"):
                for _ in 0..<2 {
                    guard let digit = peek, Self.isDigit(digit) || (0x61...0x66).contains(digit) else { return nil }
                    position += 1
                }
            case 0x20...0x7E: continue
            default: return nil
            }
        }
        return nil
    }

    // MARK: Bytes

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
    private var isAtEnd: Bool { position == bytes.count }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func takeWhile(_ isIncluded: (UInt8) -> Bool) -> UnsafeRawBufferPointer {
        let start = position
        while let byte = peek, isIncluded(byte) { position += 1 }
        return slice(from: start)
    }

    private func slice(from start: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[start..<position])
    }

    private mutating func skipSpaces() {
        while peek == 0x20 { position += 1 }
    }

    /// Optional whitespace, which may contain tabs.
    private mutating func skipWhitespace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 { position += 1 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLowercase(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
    private static func isLetter(_ byte: UInt8) -> Bool { isLowercase(byte | 0x20) }

    private static func isInKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "*"): true
        default: isLowercase(byte) || isDigit(byte)
        }
    }

    private static func isInToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "!"), UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"),
            UInt8(ascii: "-")...UInt8(ascii: ":"), UInt8(ascii: "^")...UInt8(ascii: "`"), UInt8(ascii: "|"),
            UInt8(ascii: "~"):
            true
        default: isLetter(byte)
        }
    }

    private static func isInBase64(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): true
        default: isLetter(byte) || isDigit(byte)
        }
    }
}
