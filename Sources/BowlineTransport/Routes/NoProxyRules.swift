internal import BowlineCore

/// The origins that use no proxy: the value of `no_proxy`.
///
/// Pure: never resolves a name. `Docs/Proxies.md` has the forms of an entry, with examples.
struct NoProxyRules: Sendable {
    private struct Entry: Sendable {
        let place: Place
        /// The origin's port; nil: any.
        let port: Int?
    }

    private enum Place: Sendable {
        /// A name in lower case, without dots at its ends: the name itself and its subdomains.
        case name(String)
        /// One address, or the addresses with the same first bits.
        case network(IPAddress, bits: Int)
    }

    /// Whether no origin uses a proxy: there is an entry `*`.
    private(set) var matchesAll = false
    /// The entries that make no sense, as a log line may show them.
    private(set) var ignored: [String] = []
    private var entries: [Entry] = []

    /// No rules: matches no origin.
    init() {}

    /// Reads entries that are separated by commas or white space.
    init(_ text: String) {
        for part in text.utf8.split(whereSeparator: Self.isSeparator) {
            let entry = String(Substring(part))
            if entry == "*" {
                matchesAll = true
            } else if let entry = Self.entry(entry) {
                entries.append(entry)
            } else {
                ignored.append(Self.shown(entry))
            }
        }
    }

    /// Whether the byte is a comma or white space.
    private static func isSeparator(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ") || (9...13).contains(byte)
    }

    /// Whether requests to the origin use no proxy.
    func matches(_ origin: Origin) -> Bool {
        if matchesAll { return true }
        guard !entries.isEmpty else { return false }
        let address = origin.isIPAddress ? Self.literal(origin.host) : nil
        let name = origin.host.utf8.last == UInt8(ascii: ".") ? origin.host.dropLast() : origin.host[...]
        return entries.contains { entry in
            guard entry.port == nil || entry.port == origin.port else { return false }
            return switch (entry.place, address) {
            case (.name(let suffix), nil): Self.isSame(name, orBelow: suffix)
            case (.network(let network, let bits), let address?):
                address.hasPrefix(bits, of: network) && (network.zone == nil || network.zone == address.zone)
            case (.name, .some), (.network, nil): false
            }
        }
    }

    /// Whether `name` is `parent`, or one of its subdomains. Both are in lower case.
    static func isSame(_ name: Substring, orBelow parent: String) -> Bool {
        let difference = name.utf8.count - parent.utf8.count
        guard difference >= 0, name.utf8.dropFirst(difference).elementsEqual(parent.utf8) else { return false }
        return difference == 0 || name.utf8.dropFirst(difference - 1).first == UInt8(ascii: ".")
    }
}

extension NoProxyRules {
    /// Reads one entry; nil: it makes no sense.
    private static func entry(_ text: String) -> Entry? {
        if let address = literal(text) { return Entry(place: whole(address), port: nil) }
        if text.utf8.contains(UInt8(ascii: "/")) { return network(text) }
        if text.utf8.first == UInt8(ascii: "[") { return bracketed(text) }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            return name(text[...]).map { Entry(place: $0, port: nil) }
        }
        let host = text[..<colon]
        guard let port = number(text[text.utf8.index(after: colon)...], in: 1...65_535) else { return nil }
        if let address = literal(String(host)) {
            // An IPv6 address with a port needs brackets.
            return address.zone == nil && !host.utf8.contains(UInt8(ascii: ":"))
                ? Entry(place: whole(address), port: port) : nil
        }
        return name(host).map { Entry(place: $0, port: port) }
    }

    /// Reads an address without brackets. An IPv4 address in IPv6 form counts as the IPv4 address, because a connection
    /// to either reaches the same host.
    private static func literal(_ text: String) -> IPAddress? {
        IPAddress(text)?.withoutMapping
    }

    private static func whole(_ address: IPAddress) -> Place {
        .network(address, bits: address.bitCount)
    }

    /// Reads `192.0.2.0/24` or `2001:db8::/32`. Bits after the prefix are ignored.
    private static func network(_ text: String) -> Entry? {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let written = String(Substring(parts[0]))
        guard let address = literal(written), address.zone == nil else { return nil }
        let isMapped = address.family == .v4 && written.utf8.contains(UInt8(ascii: ":"))
        // The first 96 bits say that the address is an IPv4 address.
        let skipped = isMapped ? 96 : 0
        guard let bits = number(Substring(parts[1]), in: skipped...(skipped + address.bitCount)) else {
            return nil
        }
        return Entry(place: .network(address, bits: bits - skipped), port: nil)
    }

    /// Reads `[IPv6]` or `[IPv6]:port`.
    private static func bracketed(_ text: String) -> Entry? {
        guard let end = text.utf8.firstIndex(of: UInt8(ascii: "]")) else { return nil }
        let inside = Substring(text[..<end].utf8.dropFirst())
        guard inside.utf8.contains(UInt8(ascii: ":")), let address = literal(String(inside)) else { return nil }
        let rest = text[text.utf8.index(after: end)...]
        guard !rest.isEmpty else { return Entry(place: whole(address), port: nil) }
        guard rest.utf8.first == UInt8(ascii: ":"), let port = number(Substring(rest.utf8.dropFirst()), in: 1...65_535)
        else {
            return nil
        }
        return Entry(place: whole(address), port: port)
    }

    /// Reads a name: `example.com`, `.example.com`, `*.example.com` or `example.com.`, which mean the same.
    private static func name(_ text: Substring) -> Place? {
        var name = text.lowercased()[...].utf8
        if name.starts(with: "*.".utf8) { name = name.dropFirst() }
        if name.first == UInt8(ascii: ".") { name = name.dropFirst() }
        if name.last == UInt8(ascii: ".") { name = name.dropLast() }
        guard name.count <= 255 else { return nil }
        let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isNameByte) }) else { return nil }
        // The last label of a name is no number (RFC 3696 §2): `192.168` is a part of an address.
        guard let last = labels.last, !last.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return .name(String(Substring(name)))
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func number(_ text: Substring, in range: ClosedRange<Int>) -> Int? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(text), range.contains(number)
        else { return nil }
        return number
    }

    /// The entry in quotation marks, if it is short, printable and no URL with credentials; else its length.
    private static func shown(_ entry: String) -> String {
        let isShown =
            entry.utf8.count <= 64 && entry.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "@") }
        return isShown ? "\"\(entry)\"" : "one of \(entry.utf8.count) bytes"
    }
}

extension IPAddress {
    fileprivate var bitCount: Int { family == .v4 ? 32 : 128 }

    /// The IPv4 address that this address maps (`::ffff:192.0.2.1`); or this address, also if it has a zone.
    fileprivate var withoutMapping: IPAddress {
        guard family == .v6, high == 0, low >> 32 == 0xFFFF, zone == nil else { return self }
        return IPAddress(v4: UInt32(truncatingIfNeeded: low))
    }

    /// Whether the first `bits` bits of both addresses are the same, and both are of one family. The zones do not count.
    fileprivate func hasPrefix(_ bits: Int, of other: IPAddress) -> Bool {
        guard family == other.family else { return false }
        if family == .v4 { return (low ^ other.low) >> UInt64(32 - bits) == 0 }
        // A shift by 64 gives 0.
        return (high ^ other.high) >> UInt64(64 - min(bits, 64)) == 0
            && (low ^ other.low) >> UInt64(128 - max(bits, 64)) == 0
    }
}
