/// Percent-encoding of URL components (RFC 3986 §2): done once, and only where it is needed.
public enum PercentEncoding {
    /// Encodes a value that is to be exactly one path segment: everything but unreserved characters and a few that
    /// have no meaning inside a segment, `%` and `/` included.
    ///
    /// Use it for values from elsewhere: `client.get("files/\(PercentEncoding.segment(name))")`. The segments `.` and
    /// `..` cannot be expressed in a URL, encoded or not: a path that is made of them loses them.
    public static func segment(_ value: String) -> String {
        encode(value) { isUnreserved($0) }
    }

    /// Encodes a value that is to be one name or value of a query, `&`, `=`, `+` and `%` included.
    public static func queryValue(_ value: String) -> String {
        encode(value) { isUnreserved($0) }
    }

    /// Encodes a value that is to be one name or value of a form (`application/x-www-form-urlencoded`), as browsers do:
    /// a space is `+`, and letters, digits and `*-._` stay as they are (WHATWG URL §5.2).
    static func formValue(_ value: String) -> String {
        let encoded = encode(value) { byte in
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "*") || (isUnreserved(byte) && byte != UInt8(ascii: "~"))
        }
        guard encoded.utf8.contains(UInt8(ascii: " ")) else { return encoded }
        return String(decoding: encoded.utf8.map { $0 == UInt8(ascii: " ") ? UInt8(ascii: "+") : $0 }, as: UTF8.self)
    }

    /// Encodes characters that a path may not have. Leaves separators and valid `%XX` triplets as they are.
    static func path(_ value: Substring) -> String {
        encodeKeepingTriplets(value) { isPathCharacter($0) || $0 == UInt8(ascii: "/") }
    }

    /// Encodes characters that a query may not have. Leaves separators and valid `%XX` triplets as they are.
    static func query(_ value: Substring) -> String {
        encodeKeepingTriplets(value) { isPathCharacter($0) || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
    }

    /// The bytes that a percent-encoded text stands for; nil if a `%` is not followed by two hexadecimal digits or the
    /// result is not UTF-8 or holds a NUL.
    static func decode(_ value: Substring) -> String? {
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
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
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
