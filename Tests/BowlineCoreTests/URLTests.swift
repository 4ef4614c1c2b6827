import BowlineCore
import Testing

@Suite("URLs")
struct URLTests {
    @Test(
        "a base and a reference give the target",
        arguments: [
            ("https://example.com/v1", "users/42", "https://example.com:443", "/v1/users/42"),
            ("https://example.com/v1", "/users/42?full=1", "https://example.com:443", "/v1/users/42?full=1"),
            ("https://example.com/v1/", "users", "https://example.com:443", "/v1/users"),
            ("http://example.com", "", "http://example.com:80", "/"),
            ("http://example.com/v1?key=1", "", "http://example.com:80", "/v1?key=1"),
            ("http://example.com/v1?key=1", "#", "http://example.com:80", "/v1"),
            ("http://example.com/v1?key=1", "x", "http://example.com:80", "/v1/x"),
            ("http://example.com/v1?key=1", "?q=2", "http://example.com:80", "/v1?q=2"),
            ("http://example.com", "a b", "http://example.com:80", "/a%20b"),
            ("http://example.com", "a%20b", "http://example.com:80", "/a%20b"),
            ("http://example.com", "100%", "http://example.com:80", "/100%25"),
            ("http://example.com", "caf\u{E9}", "http://example.com:80", "/caf%C3%A9"),
            ("http://example.com/v1", "../admin", "http://example.com:80", "/v1/admin"),
            ("http://example.com/v1", "%2e%2e/admin", "http://example.com:80", "/v1/admin"),
            ("http://example.com/v1", "?q=1", "http://example.com:80", "/v1?q=1"),
            ("http://example.com/v1", "a#frag", "http://example.com:80", "/v1/a"),
            ("http://example.com/v1", "https://other:8443/x", "https://other:8443", "/x"),
            ("http://EXAMPLE.com:80/v1", "x", "http://example.com:80", "/v1/x"),
            ("http://[::1]:8080", "x", "http://[::1]:8080", "/x"),
            ("http+unix://%2Ftmp%2Fa.sock/v1", "x", "http+unix:/tmp/a.sock", "/v1/x"),
            ("http://example.com", "x?u=http://y/z", "http://example.com:80", "/x?u=http://y/z"),
            ("http://example.com", "a:b", "http://example.com:80", "/a:b"),
        ]
    )
    func resolution(base: String, reference: String, origin: String, target: String) throws {
        let url = try ServiceURL(base).appending(reference)
        #expect(url.origin.description == origin)
        #expect(url.target == target)
    }

    /// A reference of a few segments, many of them with a character that the short way must not take.
    private static func reference(_ random: inout some RandomNumberGenerator) -> String {
        let pieces = [
            "a", "users", "42", "/", "/", "//", ".", "..", "a.b", ".a", ":", "%2e", "é", "?", "@", "~", " ", "",
        ]
        return (0..<Int.random(in: 0...6, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }
            .joined()
    }

    @Test(
        "The short way for plain references gives the same URL as the general way",
        arguments: 1...20 as ClosedRange<UInt64>)
    func plainReferences(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        for base in ["http://a", "http://a/", "http://a/v1", "http://a/v1/", "http://a/v1//"] {
            let url = try ServiceURL(base)
            for _ in 0..<200 {
                let reference = Self.reference(&random)
                // A fragment is not sent. A reference that has one takes the general way.
                guard !reference.isEmpty, let general = try? url.appending(reference + "#") else { continue }
                #expect(try url.appending(reference) == general, "\(base) and \(reference), seed \(seed)")
            }
        }
    }

    @Test(
        "a URL that cannot be used is refused",
        arguments: [
            "", "example.com", "/x", "ftp://example.com", "http://", "http:///x", "http://user:pass@example.com",
            "http://example.com:0", "http://example.com:65536", "http://example.com:80x", "http://[::1", "http://[::g]",
            "http://[::1]x", "http://exa mple.com",
            // A combining mark behind a colon or a bracket.
            "http://example.com:\u{301}8080", "http://example.com:\u{301}", "http://[\u{301}::1]",
            "http://[::1\u{600}]",
            "http://[fe80::1%25\u{301}eth0]", "http://ex\u{E4}mple.com", "http://a\\b", "http://a/\u{0D}\u{0A}x",
            "http+unix:///x", "http+unix://%zz/x", "http://example.com/a\u{0}b", "javascript://x", "http://a%2Fb/",
            "http+unix://%2Ftmp%2Fa%0Ab.sock/x", "http+unix://%2Ftmp%2Fa%7F/x",
        ]
    )
    func refusal(text: String) {
        let error = #expect(throws: ServiceError.self) { try ServiceURL(text) }
        #expect(error?.code == .invalidURL)
    }

    @Test("the Host field omits the default port and the zone, and brackets IPv6")
    func authority() throws {
        #expect(try ServiceURL("https://a.example:443").origin.authority == "a.example")
        #expect(try ServiceURL("https://a.example:80").origin.authority == "a.example:80")
        #expect(try ServiceURL("http://[FE80::1%25eth0]:81").origin.authority == "[fe80::1]:81")
        #expect(try ServiceURL("http://[FE80::1%25eth0]:81").origin.host == "fe80::1%eth0")
    }

    @Test(
        "hosts compare without case, default ports equal explicit ones, schemes and trailing dots differ", .tags(.KA17))
    func originEquality() throws {
        func origin(_ text: String) throws -> Origin { try ServiceURL(text).origin }
        #expect(try origin("http://A.example") == origin("http://a.example:80"))
        #expect(try origin("http://a.example") != origin("https://a.example"))
        #expect(try origin("http://a.example") != origin("http://a.example."))
        #expect(try origin("http://[::1]") == origin("http://[::1]:80"))
        #expect(try origin("http://[fe80::1%25a]") != origin("http://[fe80::1%25b]"))
    }

    @Test("A path segment from untrusted text is encoded as one segment")
    func segments() {
        #expect(PercentEncoding.segment("a/b%20c?") == "a%2Fb%2520c%3F")
        #expect(PercentEncoding.segment("plain-._~") == "plain-._~")
    }
}
