/// An IPv4 or IPv6 address, without a port.
///
/// The value stores its bytes inline, so making one from bytes allocates nothing. An IPv4 address and the IPv6 address
/// that maps it (`::ffff:192.0.2.1`) are different values.
///
/// ```swift
/// let address = IPAddress("2001:db8::1")
/// ```
public struct IPAddress: Sendable, Hashable {
    /// The version of the Internet Protocol.
    public enum Family: Sendable, Hashable {
        /// IPv4: addresses of 4 bytes.
        case v4
        /// IPv6: addresses of 16 bytes.
        case v6
    }

    /// The family of the address.
    public let family: Family
    /// The first 8 bytes of an IPv6 address as a number, most significant byte first; 0 for IPv4.
    package let high: UInt64
    /// The last 8 bytes of an IPv6 address, or the 4 bytes of an IPv4 address, as a number, most significant byte
    /// first.
    package let low: UInt64
    /// The zone of an IPv6 address: the name or the number of an interface of this machine, for example `eth0`. A
    /// link-local address (`fe80::1`) needs a zone to be reached. nil: the address has no zone.
    public let zone: String?

    private init(_ family: Family, high: UInt64, low: UInt64, zone: String?) {
        self.family = family
        self.high = high
        self.low = low
        self.zone = zone
    }

    /// Makes an IPv4 address from its number, for example `0x7F00_0001` for 127.0.0.1.
    package init(v4 number: UInt32) {
        self.init(.v4, high: 0, low: UInt64(number), zone: nil)
    }

    /// Makes an IPv6 address from the two halves of its number. Does not check the zone.
    package init(v6High high: UInt64, low: UInt64, zone: String? = nil) {
        self.init(.v6, high: high, low: low, zone: zone)
    }

    /// Makes an address from its bytes, most significant byte first.
    ///
    /// - Parameters:
    ///   - bytes: The 4 bytes of an IPv4 address or the 16 bytes of an IPv6 address.
    ///   - zone: The zone of an IPv6 address: 1 to 15 letters, digits or any of `-._~`.
    /// - Returns: nil if there are not 4 or 16 bytes, if an IPv4 address has a zone, or if the zone is not valid.
    public init?(bytes: some Collection<UInt8>, zone: String? = nil) {
        let count = bytes.count
        guard count == 4 || count == 16, zone == nil || count == 16, zone.map(Self.isZone) != false else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for byte in bytes {
            high = high << 8 | low >> 56
            low = low << 8 | UInt64(byte)
        }
        self.init(count == 4 ? .v4 : .v6, high: high, low: low, zone: zone)
    }

    /// Parses an address: `192.0.2.1`, `2001:db8::1`, or `fe80::1%eth0` with a zone.
    ///
    /// An IPv4 address has four decimal numbers without leading zeros. An IPv6 address has no brackets. The text may
    /// have upper-case digits (RFC 4291 §2.2).
    ///
    /// - Returns: nil if the text is not an address, or if its zone is not valid. Names of hosts are never addresses.
    public init?(_ text: String) {
        guard let mark = text.utf8.firstIndex(of: UInt8(ascii: "%")) else {
            guard let bytes = Origin.addressBytes(text) else { return nil }
            self.init(bytes: bytes)
            return
        }
        guard let bytes = Origin.addressBytes(String(text[..<mark])) else { return nil }
        self.init(bytes: bytes, zone: String(text[text.utf8.index(after: mark)...]))
    }

    /// Whether `text` may be the name or the number of an interface. No interface of Linux has a longer name.
    private static func isZone(_ text: String) -> Bool {
        (1...15).contains(text.utf8.count) && text.utf8.allSatisfy(PercentEncoding.isUnreserved)
    }

    /// The 4 or 16 bytes of the address, most significant byte first.
    public var bytes: [UInt8] {
        let last = (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * UInt64($0))) }
        guard family == .v6 else { return Array(last.suffix(4)) }
        return (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * UInt64($0))) } + last
    }

    /// Whether the address means this machine: 127.0.0.0/8, `::1`, or the IPv6 form of 127.0.0.0/8
    /// (`::ffff:127.0.0.1`).
    public var isLoopback: Bool {
        switch family {
        case .v4: low >> 24 == 127
        case .v6: high == 0 && (low == 1 || low >> 24 == 0xFFFF_7F)
        }
    }
}

extension IPAddress: CustomStringConvertible {
    /// The address as text, always the same text for the same address: for IPv6 the form of RFC 5952 with the zone
    /// after `%`.
    public var description: String {
        guard family == .v6 else { return Self.dotted(low) }
        // RFC 5952 §5: the form for addresses that map IPv4.
        let text = high == 0 && low >> 32 == 0xFFFF ? "::ffff:\(Self.dotted(low))" : groupsText
        return zone.map { "\(text)%\($0)" } ?? text
    }

    private static func dotted(_ number: UInt64) -> String {
        "\(number >> 24 & 255).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
    }

    /// Eight groups in hexadecimal. `::` stands for the longest run of two or more zeros, the first of equal runs (RFC
    /// 5952 §4.2).
    private var groupsText: String {
        let groups = [high, low].flatMap { half in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> UInt64($0)) }
        }
        var longest = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        func text(_ part: Range<Int>) -> String {
            groups[part].map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard longest.count >= 2 else { return text(0..<8) }
        return "\(text(0..<longest.lowerBound))::\(text(longest.upperBound..<8))"
    }
}
