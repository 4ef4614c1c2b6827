import BowlineCore
import Testing

@Suite("IP addresses")
struct IPAddressTests {
    @Test(
        "A text is parsed, and its description is the canonical form (RFC 5952)",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8::A", "2001:db8::a"),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            // One group of zeros is not shortened.
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            // The longest run is shortened, and the first of two equal runs.
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("0:0:1:2:3:4:0:0", "::1:2:3:4:0:0"), ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("::ffff:c000:201", "::ffff:192.0.2.1"), ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("::192.0.2.1", "::c000:201"),
            ("fe80::1%eth0", "fe80::1%eth0"), ("FE80::1%2", "fe80::1%2"),
        ]
    )
    func parsed(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
    }

    @Test(
        "A text that is not an address is refused",
        arguments: [
            "", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "0x7f.1", "127.1",
            "1.2.3.4:80", "1.2.3.-4", "[::1]", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::",
            "::g", "::1\u{0}", "1.2.3.4\u{0}", "::1.2.3", "%eth0", "fe80::1%", "fe80::1%eth 0", "fe80::1%eth0%eth1",
            "fe80::1%a-name-that-is-too-long", "1.2.3.4%eth0", "\u{0661}.2.3.4",
        ]
    )
    func refused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("An address has the bytes that it was made from, and 4 bytes make IPv4, 16 bytes IPv6")
    func bytes() throws {
        let four = try #require(IPAddress(bytes: [192, 0, 2, 1]))
        #expect(four.family == .v4)
        #expect(four.bytes == [192, 0, 2, 1])
        #expect(four == IPAddress("192.0.2.1"))
        let sixteen = try #require(IPAddress(bytes: 1...16 as ClosedRange<UInt8>))
        #expect(sixteen.family == .v6)
        #expect(sixteen.bytes == Array(1...16))
        #expect(sixteen.description == "102:304:506:708:90a:b0c:d0e:f10")
    }

    @Test("Another number of bytes is refused", arguments: [0, 1, 3, 5, 8, 15, 17])
    func otherCounts(count: Int) {
        #expect(IPAddress(bytes: [UInt8](repeating: 1, count: count)) == nil)
    }

    @Test("Only an IPv6 address has a zone, and a zone is an interface's name or number")
    func zones() {
        let bytes = [UInt8](repeating: 0, count: 16)
        #expect(IPAddress(bytes: bytes, zone: "eth0")?.zone == "eth0")
        #expect(IPAddress(bytes: bytes, zone: "") == nil)
        #expect(IPAddress(bytes: bytes, zone: "eth0\n") == nil)
        #expect(IPAddress(bytes: [127, 0, 0, 1], zone: "eth0") == nil)
    }

    @Test("Addresses of another family or zone are not equal")
    func equality() {
        #expect(IPAddress("::ffff:192.0.2.1") != IPAddress("192.0.2.1"))
        #expect(IPAddress("::192.0.2.1") != IPAddress("192.0.2.1"))
        #expect(IPAddress("fe80::1%eth0") != IPAddress("fe80::1%eth1"))
        #expect(IPAddress("fe80::1%eth0") != IPAddress("fe80::1"))
    }

    @Test(
        "Loopback is 127.0.0.0/8, ::1 and the IPv6 form of the former",
        arguments: [
            ("127.0.0.1", true), ("127.255.255.254", true), ("::1", true), ("::ffff:127.0.0.1", true),
            ("126.255.255.255", false), ("128.0.0.0", false), ("0.0.0.0", false), ("::", false), ("::2", false),
            ("::127.0.0.1", false), ("fe80::1", false), ("1::1", false), ("::ffff:128.0.0.1", false),
        ]
    )
    func loopback(text: String, expected: Bool) throws {
        #expect(try #require(IPAddress(text)).isLoopback == expected)
    }

    @Test("The description of each address is parsed as the same address", arguments: 1...20 as ClosedRange<UInt64>)
    func roundTrip(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        for _ in 0..<500 {
            // Many zeros, so that there are runs of them.
            let bytes = (0..<(Bool.random(using: &random) ? 4 : 16)).map { _ in
                Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : 0
            }
            let address = try #require(IPAddress(bytes: bytes))
            #expect(IPAddress(address.description) == address, "\(bytes), seed \(seed)")
        }
    }
}
