internal import BowlineCore

/// Decides whether a certificate is for the host of a request (RFC 9525 §6, RFC 9110 §4.3.4).
///
/// | the host | matches |
/// |---|---|
/// | an IPv4 or IPv6 address | an iPAddress with the same 4 or 16 bytes |
/// | a DNS name | a dNSName with the same labels, ignoring case and one dot at the end |
/// | a DNS name | a dNSName with `*` as its left-most label, for exactly one label, and at least two labels after it |
/// | anything else | nothing |
///
/// A DNS name consists of labels of ASCII letters, digits, `-` and `_`. No label is empty. A host whose last label is a
/// number (`127.1`, `0x7f.1`) is not a name, because resolvers read some of these as addresses. Nothing else in a
/// certificate matches: a `*` elsewhere, other bytes, other kinds of names, the common name.
struct ReferenceIdentity: Sendable, Hashable {
    private enum Kind: Sendable, Hashable {
        /// A DNS name in lower case, without a final dot.
        case name(String)
        case address([UInt8])
        case neither
    }

    /// The given host, for messages.
    let host: String
    private let kind: Kind

    /// - Parameter host: A name, an IPv4 address, or an IPv6 address without brackets. A zone is ignored.
    init(host: String) {
        self.host = host
        let isIPv6 = host.utf8.contains(UInt8(ascii: ":"))
        let text = isIPv6 ? String(host.prefix { $0 != "%" }) : host
        if let bytes = Origin.addressBytes(text) {
            kind = .address(bytes)
        } else if let labels = DNSLabels(text.utf8), !labels.endsInNumber {
            kind = .name(labels.text)
        } else {
            kind = .neither
        }
    }

    /// The server name to send (RFC 6066 §3); nil: none, because the host is not a DNS name.
    var serverName: String? {
        if case .name(let name) = kind, name.utf8.count <= 255 { name } else { nil }
    }

    /// Whether a certificate can be for this host.
    var isMatchable: Bool { kind != .neither }

    /// Whether one of the certificate's names is this host.
    func matches(_ names: some Sequence<PresentedName>) -> Bool {
        names.contains { matches($0) }
    }

    private func matches(_ presented: PresentedName) -> Bool {
        switch (kind, presented) {
        case (.address(let bytes), .address(let others)): bytes == others
        case (.name(let name), .dns(let bytes)): Self.matches(name, bytes)
        default: false
        }
    }

    private static func matches(_ name: String, _ presented: [UInt8]) -> Bool {
        let wildcard: [UInt8] = [UInt8(ascii: "*"), UInt8(ascii: ".")]
        guard presented.starts(with: wildcard) else { return DNSLabels(presented)?.text == name }
        guard let rest = DNSLabels(presented.dropFirst(wildcard.count)), rest.count >= 2,
            let dot = name.utf8.firstIndex(of: UInt8(ascii: "."))
        else { return false }
        return name[name.utf8.index(after: dot)...] == rest.text
    }
}

/// A name from the subject alternative name extension of the peer's certificate.
enum PresentedName: Sendable, Hashable {
    /// A dNSName. It may contain any bytes, because it comes from the peer.
    case dns([UInt8])
    /// The bytes of an iPAddress, of any length.
    case address([UInt8])
    /// A name of another kind. It names no host.
    case other
}

/// The labels of a DNS name, in lower case.
private struct DNSLabels {
    let text: String
    let count: Int

    /// - Returns: nil if a label is empty or has a byte other than ASCII letters, digits, `-` and `_`.
    init?(_ bytes: some Collection<UInt8>) {
        var name: [UInt8] = []
        var count = 1
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): name.append(byte | 0x20)
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                name.append(byte)
            case UInt8(ascii: "."):
                guard let last = name.last, last != byte else { return nil }
                name.append(byte)
                count += 1
            default: return nil
            }
        }
        if name.last == UInt8(ascii: ".") {
            name.removeLast()
            count -= 1
        }
        guard !name.isEmpty else { return nil }
        text = String(decoding: name, as: UTF8.self)
        self.count = count
    }

    /// Whether the last label is a decimal or hexadecimal number, as in every form of an IPv4 address.
    var endsInNumber: Bool {
        let last = text.utf8.split(separator: UInt8(ascii: ".")).last ?? text.utf8[...]
        if last.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
        return last.starts(with: "0x".utf8)
            && last.dropFirst(2).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

extension PresentedName {
    /// Describes a certificate's names for a message: at most five, each with at most 64 printable characters.
    static func summary(_ names: [PresentedName]) -> String {
        guard !names.isEmpty else { return "it has no subject alternative name" }
        let hosts = names.filter { $0 != .other }
        guard !hosts.isEmpty else { return "its subject alternative names are neither DNS names nor IP addresses" }
        let shown = hosts.prefix(5).map(\.printable).joined(separator: ", ")
        return "it names " + shown + (hosts.count > 5 ? " and \(hosts.count - 5) more" : "")
    }

    private var printable: String {
        switch self {
        case .dns(let bytes): Self.printable(bytes)
        case .address(let bytes): Self.printable(address: bytes)
        case .other: "?"
        }
    }

    private static func printable(_ bytes: [UInt8]) -> String {
        let shown = bytes.prefix(64).map { byte in (0x21..<0x7F).contains(byte) ? byte : UInt8(ascii: "?") }
        return "\"" + String(decoding: shown, as: UTF8.self) + (bytes.count > 64 ? "…" : "") + "\""
    }

    private static func printable(address bytes: [UInt8]) -> String {
        switch bytes.count {
        case 4: return bytes.map { "\($0)" }.joined(separator: ".")
        case 16:
            let groups = stride(from: 0, to: 16, by: 2).map { Int(bytes[$0]) << 8 | Int(bytes[$0 + 1]) }
            return groups.map { String($0, radix: 16) }.joined(separator: ":")
        default: return "an address of \(bytes.count) bytes"
        }
    }
}
