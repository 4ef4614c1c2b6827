internal import BowlineCore

/// An IP address that stands in a URL or in `no_proxy`, as bytes.
///
/// An IPv4 address in IPv6 form (`::ffff:192.0.2.1`) is the IPv4 address, because a connection to either reaches the
/// same host.
struct LiteralAddress: Sendable, Hashable {
    /// 4 or 16 bytes.
    let bytes: [UInt8]
    /// The interface of an IPv6 address; nil: the address names none.
    let zone: String?

    /// Reads an address without brackets; nil: `text` is no address.
    init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "%"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let bytes = Origin.addressBytes(String(Substring(first))) else { return nil }
        if parts.count > 1 {
            guard bytes.count == 16, (1...15).contains(parts[1].count), parts[1].allSatisfy(Self.isZoneByte) else {
                return nil
            }
            zone = String(Substring(parts[1]))
        } else {
            zone = nil
        }
        self.bytes = Self.isMapped(bytes) ? Array(bytes.suffix(4)) : bytes
    }

    /// The bytes that a URL's zone may have (RFC 6874), because only such a zone can match.
    private static func isZoneByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// Whether 16 bytes are `::ffff:0:0/96`.
    static func isMapped(_ bytes: [UInt8]) -> Bool {
        bytes.count == 16 && bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
    }

    /// Whether the address is in 127.0.0.0/8, or is `::1`.
    var isLoopback: Bool {
        bytes.count == 4 ? bytes[0] == 127 : bytes.last == 1 && bytes.dropLast().allSatisfy { $0 == 0 }
    }

    /// Whether the first `bits` bits of both addresses are the same, and both are of one family.
    func hasPrefix(_ bits: Int, of other: LiteralAddress) -> Bool {
        guard bytes.count == other.bytes.count else { return false }
        let (whole, rest) = bits.quotientAndRemainder(dividingBy: 8)
        guard bytes.prefix(whole) == other.bytes.prefix(whole) else { return false }
        return rest == 0 || (bytes[whole] ^ other.bytes[whole]) >> (8 - rest) == 0
    }
}
