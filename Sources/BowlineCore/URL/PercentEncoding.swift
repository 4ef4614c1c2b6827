/// Percent-encoding of URL components (RFC 3986 §2). A component without characters to encode stays unchanged.
public enum PercentEncoding {
    /// Encodes a value as exactly one path segment. Encodes everything except unreserved characters, so also `%` and
    /// `/`.
    ///
    /// Use it for values that your program did not write: `client.get("files/\(PercentEncoding.segment(name))")`. The
    /// values `.` and `..` cannot be sent as segments: even when encoded, they are removed from a URL's path as dot
    /// segments.
    public static func segment(_ value: String) -> String {
        encode(value) { isUnreserved($0) }
    }

    /// Encodes a value as one name or value of a query; `&`, `=`, `+` and `%` are encoded too.
    public static func queryValue(_ value: String) -> String {
        encode(value) { isUnreserved($0) }
    }

    /// Encodes a value as one name or value of a form (`application/x-www-form-urlencoded`), in the same way as
    /// browsers: a space becomes `+`, and letters, digits and `*-._` stay unchanged (WHATWG URL §5.2).
    static func formValue(_ value: String) -> String {
        let encoded = encode(value) { byte in
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "*") || (isUnreserved(byte) && byte != UInt8(ascii: "~"))
        }
        guard encoded.utf8.contains(UInt8(ascii: " ")) else { return encoded }
        return String(decoding: encoded.utf8.map { $0 == UInt8(ascii: " ") ? UInt8(ascii: "+") : $0 }, as: UTF8.self)
    }

    /// Encodes the characters that a path must not have. Leaves separators and valid `%XX` triplets unchanged.
    static func path(_ value: Substring) -> String {
        encodeKeepingTriplets(value) { isPathCharacter($0) || $0 == UInt8(ascii: "/") }
    }

    /// Encodes the characters that a query must not have. Leaves separators and valid `%XX` triplets unchanged.
    static func query(_ value: Substring) -> String {
        encodeKeepingTriplets(value) { isPathCharacter($0) || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
    }

    /// Returns the decoded text of a percent-encoded text; nil: a `%` is not followed by two hexadecimal digits, or the
    /// result is not UTF-8 or contains a NUL.
    static func decode(_ value: Substring) -> String? {
        guard let bytes = decodeBytes(value), !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Returns the decoded bytes of a percent-encoded text; nil: a `%` is not followed by two hexadecimal digits.
    static func decodeBytes(_ value: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = value.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func encode(_ value: String, keeping isAllowed: (UInt8) -> Bool) -> String {
        guard !value.utf8.allSatisfy(isAllowed) else { return value }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(value.utf8.count * 2)
        for byte in value.utf8 {
            if isAllowed(byte) { bytes.append(byte) } else { appendTriplet(byte, to: &bytes) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func encodeKeepingTriplets(_ value: Substring, keeping isAllowed: (UInt8) -> Bool) -> String {
        guard !value.utf8.allSatisfy(isAllowed) else { return String(value) }
        let input = Array(value.utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(input.count * 2)
        for (index, byte) in input.enumerated() {
            let isTriplet =
                byte == UInt8(ascii: "%") && index + 2 < input.count && hexValue(input[index + 1]) != nil
                && hexValue(input[index + 2]) != nil
            if isTriplet || isAllowed(byte) { bytes.append(byte) } else { appendTriplet(byte, to: &bytes) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func appendTriplet(_ byte: UInt8, to bytes: inout [UInt8]) {
        let digits: StaticString = "0123456789ABCDEF"
        digits.withUTF8Buffer { digits in
            bytes.append(UInt8(ascii: "%"))
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// `pchar` of RFC 3986 §3.3 without `pct-encoded`.
    static func isPathCharacter(_ byte: UInt8) -> Bool {
        if isUnreserved(byte) { return true }
        switch byte {
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("),
            UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"),
            UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"):
            return true
        default: return false
        }
    }
}
