import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("Rules of no_proxy")
struct NoProxyRulesTests {
    /// Rules, URL, and whether the origin matches. Here curl 7.88.1 (Debian 12) gives the same answers with the same
    /// `no_proxy` and URL.
    static let asCurl: [(String, String, Bool)] = [
        // Names match themselves and their subdomains.
        ("example.com", "http://example.com/", true), ("example.com", "http://www.example.com/", true),
        ("example.com", "http://a.b.example.com/", true), ("example.com", "http://notexample.com/", false),
        ("ample.com", "http://example.com/", false), ("com", "http://example.com/", true),
        ("www.example.com", "http://example.com/", false), ("example.com", "https://example.com/", true),
        ("build_1", "http://build_1/", true), ("xn--bcher-kva.test", "http://xn--bcher-kva.test/", true),
        // A leading dot, a final dot and case make no difference.
        (".example.com", "http://example.com/", true), (".example.com", "http://www.example.com/", true),
        (".example.com", "http://notexample.com/", false), ("EXAMPLE.com", "http://example.COM/", true),
        ("example.com.", "http://example.com/", true), ("example.com", "http://example.com./", true),
        // Commas and white space separate entries.
        ("a.test,example.com", "http://example.com/", true), ("a.test, example.com", "http://example.com/", true),
        ("a.test example.com", "http://example.com/", true), (" example.com ", "http://example.com/", true),
        ("a.test,,example.com", "http://example.com/", true), ("", "http://example.com/", false),
        (" , ", "http://example.com/", false),
        // A star matches every origin.
        ("*", "http://example.com/", true), ("*", "http://192.0.2.1/", true),
        // A port.
        ("example.com:8080", "http://example.com/", false), ("example.com", "http://example.com:8080/", true),
        ("192.0.2.1:8080", "http://192.0.2.1/", false), ("[2001:db8::1]:8080", "http://[2001:db8::1]/", false),
        // Addresses match hosts that are addresses.
        ("192.0.2.1", "http://192.0.2.1/", true), ("192.0.2.1", "http://192.0.2.10/", false),
        ("2001:db8::1", "http://[2001:db8::1]/", true), ("fe80::1", "http://[fe80::1%25eth0]/", true),
        ("fe80::1%eth1", "http://[fe80::1%25eth0]/", false),
        // Networks.
        ("192.0.2.0/24", "http://192.0.2.77/", true), ("192.0.2.0/24", "http://192.0.3.77/", false),
        ("192.0.2.128/25", "http://192.0.2.127/", false), ("192.0.2.128/25", "http://192.0.2.128/", true),
        ("192.0.2.9/24", "http://192.0.2.77/", true), ("192.0.2.1/32", "http://192.0.2.1/", true),
        ("192.0.2.1/32", "http://192.0.2.0/", false), ("192.0.2.0/24", "http://example.com/", false),
        ("2001:db8::/32", "http://[2001:db9::5]/", false), ("2001:db8::/33", "http://[2001:db8:8000::1]/", false),
        ("2001:db8::/65", "http://[2001:db8::8000:0:0:0]/", false),
        ("::/0", "http://192.0.2.1/", false), ("::ffff:192.0.2.0/120", "http://192.0.3.7/", false),
        // Entries that make no sense match nothing.
        ("192.0.2.0/33", "http://192.0.2.0/", false), ("10.*", "http://10.0.0.1/", false),
        ("http://example.com", "http://example.com/", false),
    ]

    /// Here curl 7.88.1 gives the opposite answers. It knows no ports, no `*` among other entries or before a name, no
    /// IPv6 networks and no second spelling of an address.
    static let unlikeCurl: [(String, String, Bool)] = [
        // A leading dot, a final dot and case make no difference.
        ("*.example.com", "http://www.example.com/", true), ("*.example.com", "http://example.com/", true),
        // Commas and white space separate entries.
        ("a.test\t\r\nexample.com", "http://example.com/", true),
        // A star matches every origin.
        ("a.test,*", "http://example.com/", true),
        // A port.
        ("example.com:80", "http://example.com/", true), ("example.com:443", "https://example.com/", true),
        ("example.com:8080", "http://example.com:8080/", true),
        (".example.com:8080", "http://www.example.com:8080/", true),
        ("192.0.2.1:8080", "http://192.0.2.1:8080/", true),
        ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080/", true),
        // Addresses match hosts that are addresses.
        ("192.0.2.1", "http://1.192.0.2.1/", false), ("2001:DB8:0::1", "http://[2001:db8::1]/", true),
        ("[2001:db8::1]", "http://[2001:db8::1]/", true), ("::ffff:192.0.2.1", "http://192.0.2.1/", true),
        ("192.0.2.1", "http://[::ffff:c000:201]/", true), ("fe80::1%eth0", "http://[fe80::1%25eth0]/", true),
        // Networks.
        ("0.0.0.0/0", "http://192.0.2.77/", true), ("2001:db8::/32", "http://[2001:db8:1::5]/", true),
        ("2001:db8::1/128", "http://[2001:db8::1]/", true), ("::/0", "http://[2001:db8::1]/", true),
        ("::ffff:192.0.2.0/120", "http://192.0.2.7/", true), ("::ffff:0:0/96", "http://198.51.100.7/", true),
        ("::ffff:192.0.2.0/120", "http://[::ffff:192.0.2.7]/", true),
        ("2001:db8::/65", "http://[2001:db8::7fff:0:0:1]/", true),
        ("fe80::/10", "http://[fe80::1%25eth0]/", true),
        // Entries that make no sense match nothing.
        ("192.0.2.0/x", "http://192.0.2.0/", false),
    ]

    @Test("An origin matches a rule, or does not", arguments: asCurl + unlikeCurl)
    func match(rules: String, url: String, isMatch: Bool) throws {
        let origin = try ServiceURL(url).origin
        #expect(NoProxyRules(rules).matches(origin) == isMatch, "\(rules) \(url)")
    }

    @Test(
        "An entry that makes no sense is ignored, and the others count",
        arguments: [
            "10.*", "192.168", "192.168.1.", "256.0.0.1", "http://a.test", "a..b", ".", "..", "*.", "*.*", "*:80",
            "<local>",
            "a.test:", "a.test:0", "a.test:65536", "a.test:http", ":80", "a b:c:80", "[::1", "[192.0.2.1]", "[::1]x",
            "[::1]:", "::1%", "192.0.2.1%eth0", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/24/8", "/24",
            "192.0.2.0/24:80", "::/129", "::ffff:192.0.2.0/95", "fe80::1%eth0/64", "a@b", "b\u{FC}cher.test", "a\u{0}b",
            "c.test\u{600}.", "d.test:\u{301}80", "[\u{301}::1]", "[::1\u{600}]",
        ])
    func ignored(entry: String) throws {
        let rules = NoProxyRules("a.test,\(entry),192.0.2.1")
        #expect(!rules.ignored.isEmpty)
        #expect(!rules.matchesAll)
        #expect(try rules.matches(ServiceURL("http://192.0.2.1").origin))
        #expect(try !rules.matches(ServiceURL("http://other.test").origin))
    }

    @Test("The log shows an entry only if it is printable, short, and no URL with a user")
    func shown() {
        let long = String(repeating: "/", count: 65)
        #expect(NoProxyRules("10.*").ignored == ["\"10.*\""])
        #expect(NoProxyRules("http://u:p@a").ignored == ["one of 12 bytes"])
        #expect(NoProxyRules("a\u{1B}b").ignored == ["one of 3 bytes"])
        #expect(NoProxyRules("\u{FC}.test").ignored == ["one of 7 bytes"])
        #expect(NoProxyRules(long).ignored == ["one of 65 bytes"])
        #expect(NoProxyRules(String(long.dropLast())).ignored == ["\"\(long.dropLast())\""])
    }

    /// Numbers that depend on the seed alone.
    private struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 33)
        }
    }

    @Test(
        "A network contains the addresses with the same first bits, for each length",
        arguments: 1...4 as ClosedRange<UInt64>)
    func networks(seed: UInt64) throws {
        var random = Numbers(state: seed)
        for bits in 0...32 {
            for _ in 0..<8 {
                let network = UInt32.random(in: 0...UInt32.max, using: &random)
                // Half of the addresses differ from the network in one bit, near the end of the prefix.
                let flipped = UInt32(1) << UInt32.random(in: 0...31, using: &random)
                let host = Bool.random(using: &random) ? network ^ flipped : network
                let isSame = bits == 0 || (network ^ host) >> UInt32(32 - bits) == 0
                let rules = NoProxyRules("\(Self.dotted(network))/\(bits)")
                let origin = try ServiceURL("http://\(Self.dotted(host))").origin
                #expect(rules.matches(origin) == isSame, "\(Self.dotted(network))/\(bits) \(origin), seed \(seed)")
            }
        }
    }

    private static func dotted(_ address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }
}
