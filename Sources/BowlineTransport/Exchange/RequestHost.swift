/// The value of `Host`: `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2).
enum RequestHost {
    /// Whether these bytes are a host with or without a port. Checks the syntax only; the dialler interprets the
    /// address.
    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first else { return false }
        let host: Range<Int>
        if first == UInt8(ascii: "[") {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "]")), bytes[1..<end].allSatisfy(isAddressByte),
                bytes[1..<end].contains(UInt8(ascii: ":"))
            else { return false }
            host = 0..<(end + 1)
        } else {
            host = 0..<(bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count)
            guard !host.isEmpty, bytes[host].allSatisfy(isNameByte) else { return false }
        }
        guard host.upperBound < bytes.count else { return true }
        let port = bytes[(host.upperBound + 1)...]
        guard bytes[host.upperBound] == UInt8(ascii: ":"), 1...5 ~= port.count else { return false }
        return port.allSatisfy { HTTP1Grammar.digit($0) != nil }
    }

    /// Whether the byte is allowed between brackets: an IPv6 address, with a zone after `%25`.
    private static func isAddressByte(_ byte: UInt8) -> Bool {
        isNameByte(byte) || byte == UInt8(ascii: ":")
    }

    /// Whether the byte is `unreserved`, a `sub-delim` or part of `pct-encoded`.
    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "%"),
            UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("),
            UInt8(ascii: ")"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"),
            UInt8(ascii: "="):
            true
        default: false
        }
    }
}
