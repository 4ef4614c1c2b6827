import BowlineCore
import Testing

@Suite("Where a Location leads")
struct RedirectLocationTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let location: String
        let target: String?
        var testDescription: String { String(location.prefix(40)) }

        init(_ location: String, _ target: String?) {
            self.location = location
            self.target = target
        }
    }

    /// RFC 3986 §5.4, without the examples whose schemes are not followed.
    static let rfcExamples: [Case] = [
        Case("g", "/b/c/g"), Case("./g", "/b/c/g"), Case("g/", "/b/c/g/"), Case("/g", "/g"), Case("?y", "/b/c/d;p?y"),
        Case("g?y", "/b/c/g?y"), Case("#s", "/b/c/d;p?q"), Case("g#s", "/b/c/g"), Case("g?y#s", "/b/c/g?y"),
        Case(";x", "/b/c/;x"), Case("g;x", "/b/c/g;x"), Case("g;x?y#s", "/b/c/g;x?y"), Case("", "/b/c/d;p?q"),
        Case(".", "/b/c/"), Case("./", "/b/c/"), Case("..", "/b/"), Case("../", "/b/"), Case("../g", "/b/g"),
        Case("../..", "/"), Case("../../", "/"), Case("../../g", "/g"), Case("../../../g", "/g"),
        Case("../../../../g", "/g"), Case("/./g", "/g"), Case("/../g", "/g"), Case("g.", "/b/c/g."),
        Case(".g", "/b/c/.g"), Case("g..", "/b/c/g.."), Case("..g", "/b/c/..g"), Case("./../g", "/b/g"),
        Case("./g/.", "/b/c/g/"), Case("g/./h", "/b/c/g/h"), Case("g/../h", "/b/c/h"),
        Case("g;x=1/./y", "/b/c/g;x=1/y"), Case("g;x=1/../y", "/b/c/y"), Case("g?y/./x", "/b/c/g?y/./x"),
        Case("g?y/../x", "/b/c/g?y/../x"), Case("g#s/./x", "/b/c/g"), Case("g#s/../x", "/b/c/g"),
    ]

    @Test("relative references are resolved as RFC 3986 §5.4 shows", .tags(.RD5), arguments: rfcExamples)
    func relative(example: Case) throws {
        let base = try ServiceURL("http://a/b/c/d;p?q")
        let url = try base.resolving(example.location)
        #expect(url.target == example.target)
        #expect(url.origin == base.origin)
    }

    static let otherPlaces: [Case] = [
        Case("//other", "https://other:443/"), Case("//other:8443/x?y", "https://other:8443/x"),
        Case("https://OTHER.example/a/../b#f", "https://other.example:443/b"),
        Case("HTTP://other/", "http://other:80/"), Case("http://[::1]:81/x", "http://[::1]:81/x"),
        Case("/a b", "https://api.example:443/a%20b"), Case("/ä", "https://api.example:443/%C3%A4"),
        Case("/%e4", "https://api.example:443/%e4"), Case("/a%2Fb", "https://api.example:443/a%2Fb"),
        Case("a:b", nil), Case("1a:b", "https://api.example:443/v1/1a:b"),
        Case("\\\\other", "https://api.example:443/v1/%5C%5Cother"),
        Case("/\\other", "https://api.example:443/%5Cother"),
    ]

    @Test(
        "//host, other origins, spaces, UTF-8 and dot segments lead where a URL can", .tags(.RD5),
        arguments: otherPlaces)
    func elsewhere(example: Case) throws {
        let base = try ServiceURL("https://api.example/v1/users?page=1")
        #expect((try? base.resolving(example.location))?.description == example.target)
    }

    @Test(
        "A Location that is not a usable URL is refused: controls, user information, other schemes, none, 8 MB",
        .tags(.RD5, .RD7),
        arguments: [
            "/a\r\nX-Injected: 1", "/a\nb", "/a\0b", "/a\tb", "\u{7F}", "#a\rb", "?a\nb", "http://a\rb/", "//a\nb",
            "http://user@other/", "http://user:secret@other/", "//user@other/", "file:///etc/passwd", "javascript:x()",
            "data:text/plain,x", "ftp://other/", "ws://other/", "http:other", "http:/other", "http:///x", "//",
            "http://",
            "http://other:99999/", "http://other:x/", "http://a b/", "http://ä.example/", "http://other\\@api.example/",
            "http://a%2fb/", "http://[::1", "http+unix://", "/" + String(repeating: "a", count: 16_384),
            String(repeating: "a", count: 8 << 20),
        ])
    func refused(location: String) throws {
        let base = try ServiceURL("http://api.example/v1/users")
        let error = #expect(throws: ServiceError.self) { try base.resolving(location) }
        #expect(error?.code == .invalidURL)
        #expect(error.map { $0.description.contains("secret") } == false)
        #expect(error.map { $0.description.utf8.count < 800 } == true)
    }

    @Test("from a Unix domain socket, the names that the service has for itself stay on the socket", .tags(.RD5))
    func sockets() throws {
        let base = try ServiceURL("http+unix://%2Frun%2Fa.sock/v1")
        #expect(try base.resolving("/x").origin == base.origin)
        #expect(try base.resolving("http://localhost/x").origin == base.origin)
        #expect(try base.resolving("//LOCALHOST:80/x").origin == base.origin)
        #expect(try base.resolving("http://localhost:81/x").origin.socketPath == nil)
        #expect(try base.resolving("https://localhost/x").origin.socketPath == nil)
    }

    @Test("An absolute reference to the same IPv6 address keeps the zone, which the service does not know", .tags(.RD5))
    func zones() throws {
        let base = try ServiceURL("http://[fe80::1%25eth0]:8080/a?x=1")
        let same = try base.resolving("http://[FE80::1]:8080/b?y=2")
        #expect(same.absoluteString == "http://[fe80::1%25eth0]:8080/b?y=2")
        #expect(try base.resolving("//[fe80::1]:8080/b").origin == base.origin)
        for other in [
            "http://[fe80::2]:8080", "http://[fe80::1]:8081", "https://[fe80::1]:8080", "http://[fe80::1%25eth1]:8080",
        ] {
            #expect(try base.resolving("\(other)/b").absoluteString == "\(other)/b")
        }
        let plain = try ServiceURL("http://[fe80::1]:8080/a")
        #expect(try plain.resolving("http://[fe80::1%25eth0]:8080/b").origin == base.origin)
    }
}
