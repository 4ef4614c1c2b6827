import BowlineCore
import Testing

@Suite("URLs of proxies")
struct ProxyTests {
    @Test("Credentials whose bytes differ only in their normal form are other credentials", .tags(.PX4))
    func credentialBytes() throws {
        let one = try Proxy("http://proxy.test", credentials: ProxyCredentials(user: "u", password: "\u{E9}"))
        let other = try Proxy("http://proxy.test", credentials: ProxyCredentials(user: "u", password: "e\u{301}"))
        #expect(one.authorization != other.authorization)
        #expect(one != other)
        #expect(Set([one, other]).count == 2)
        #expect(one.credentials == ProxyCredentials(user: "u", password: "\u{E9}"))
    }

    @Test(
        "A proxy's URL gives kind, host and port",
        arguments: [
            ("http://proxy.test:3128", "http://proxy.test:3128"), ("http://proxy.test", "http://proxy.test:80"),
            ("http://proxy.test/", "http://proxy.test:80"), ("http://proxy.test:/", "http://proxy.test:80"),
            ("https://proxy.test", "https://proxy.test:443"), ("https://proxy.test:80", "https://proxy.test:80"),
            ("socks5://proxy.test", "socks5://proxy.test:1080"), ("socks5h://proxy.test", "socks5h://proxy.test:1080"),
            ("socks5://proxy.test:80", "socks5://proxy.test:80"),
            (
                "HTTP://Proxy.TEST:65535",
                "http://proxy.test:65535"
            ),
            ("http://192.0.2.1:8080", "http://192.0.2.1:8080"), ("http://[2001:DB8::1]", "http://[2001:db8::1]:80"),
            ("socks5h://[::1]:9050", "socks5h://[::1]:9050"), ("http://[fe80::1%25eth0]:1", "http://[fe80::1%eth0]:1"),
            ("http://[fe80::1%eth0]:1", "http://[fe80::1%eth0]:1"),
            ("http://user:secret@proxy.test", "http://proxy.test:80"),
        ])
    func parsed(url: String, described: String) throws {
        #expect("\(try Proxy(url))" == described)
    }

    @Test(
        "User and password are percent-decoded; the last @ ends them, and the first colon ends the user",
        arguments: [
            ("http://user:password@proxy.test", "user", "password"), ("http://user@proxy.test", "user", ""),
            ("http://user:@proxy.test", "user", ""), ("http://:password@proxy.test", "", "password"),
            ("http://u%40x%2Fy:p%3A%25@proxy.test", "u@x/y", "p:%"), ("http://u:p:q@proxy.test", "u", "p:q"),
            ("http://u@example.com:p@proxy.test", "u@example.com", "p"), ("http://%C3%A9:\u{E9}@proxy.test", "é", "é"),
            ("socks5h://u%3Av:p@proxy.test", "u:v", "p"), ("http://u:p@[::1]:1", "u", "p"),
        ])
    func credentials(url: String, user: String, password: String) throws {
        #expect(try Proxy(url).credentials == ProxyCredentials(user: user, password: password))
    }

    @Test("A URL without user information, or with an empty one, has no credentials")
    func noCredentials() throws {
        #expect(try Proxy("http://proxy.test").credentials == nil)
        #expect(try Proxy("socks5://@proxy.test").credentials == nil)
    }

    @Test("Credentials of the program replace those in the URL, and need no encoding")
    func ownCredentials() throws {
        let own = ProxyCredentials(user: "a%41", password: "p@/:")
        #expect(try Proxy("http://u:p@proxy.test", credentials: own).credentials == own)
        let error = #expect(throws: ServiceError.self) {
            try Proxy("http://proxy.test", credentials: ProxyCredentials(user: "canary:", password: ""))
        }
        #expect(error?.message.contains("colon") == true)
    }

    @Test("Only socks5:// lets the client resolve names")
    func names() throws {
        for scheme in ["http", "https", "socks5h"] { #expect(try Proxy("\(scheme)://proxy.test").resolvesNames) }
        #expect(try !Proxy("socks5://proxy.test").resolvesNames)
    }

    static let refusals: [(url: String, reason: String)] = [
        ("", "must begin with http:// or https:// or socks5:// or socks5h://"),
        ("proxy.test", "must begin with"), ("proxy.test:3128", "must begin with"), ("//proxy.test", "must begin with"),
        ("http:/proxy.test", "must begin with"), ("ftp://proxy.test", "unknown scheme"),
        ("socks4://proxy.test", "unknown scheme"), ("socks://proxy.test", "unknown scheme"),
        ("://proxy.test", "unknown scheme"), (" http://proxy.test", "unknown scheme"),
        ("http://", "no host"), ("http://:3128", "no host"), ("http://u:canary@", "no host"),
        ("http://u:canary@:80", "no host"),
        ("http://proxy.test/canary", "a path"), ("http://proxy.test//", "a path"),
        (
            "http://proxy.test?canary",
            "a query"
        ),
        ("http://proxy.test/?", "a query"), ("http://proxy.test#canary", "a fragment"),
        ("http://proxy.test/#", "a fragment"), ("http://proxy.test/a?b", "a path"),
        ("http://proxy.test:0", "port must be"), ("http://proxy.test:65536", "port must be"),
        ("http://proxy.test:-1", "port must be"), ("http://proxy.test:x", "port must be"),
        ("http://proxy.test:000080", "port must be"), ("http://proxy.test:80:81", "port must be"),
        ("http://u:canary/x@proxy.test", "before its @"), ("http://u:canary#x@proxy.test", "before its @"),
        ("http://u:canary?x@proxy.test", "before its @"), ("http://u\\canary@proxy.test", "backslash"),
        ("http://proxy.test\\@evil.test", "backslash"), ("http://[::1", "closing bracket"),
        ("http://[::g]", "not an IPv6 address"), ("http://[::1]x", "other than a port"), ("http://::1", "port must be"),
        ("http://pro xy.test", "character that a host cannot have"), ("http://pr\u{F6}xy.test", "not ASCII"),
        ("http://proxy.test\r\n", "control character"), ("http://u:canary\u{0}@proxy.test", "control character"),
        ("http://u:canary%0A@proxy.test", "control character"), ("http://canary%00:p@proxy.test", "control character"),
        ("http://canary%7F:p@proxy.test", "control character"), ("http://canary%1f@proxy.test", "control character"),
        ("http://u:canary%@proxy.test", "without two hexadecimal digits"),
        ("http://u:canary%4@proxy.test", "without two hexadecimal digits"),
        ("http://u:canary%zz@proxy.test", "without two hexadecimal digits"),
        (
            "http://u:canary%FF@proxy.test",
            "not UTF-8"
        ),
        ("http://u:canary\u{FFFD}@proxy.test", "not UTF-8"), ("http://canary%3Ax:p@proxy.test", "colon"),
        ("socks5://:canary@proxy.test", "user is empty"),
        ("socks5://\(String(repeating: "u", count: 256)):canary@proxy.test", "user is longer than 255 bytes"),
        ("socks5://u:\(String(repeating: "%C3%A9", count: 128))@proxy.test", "password is longer than 255 bytes"),
        ("http://\(String(repeating: "a", count: 256))", "longer than 255 bytes"),
    ]

    @Test(
        "A URL that names no usable proxy is refused, with a reason and without its text",
        arguments: refusals.indices)
    func refused(index: Int) {
        let (url, reason) = Self.refusals[index]
        let error = #expect(throws: ServiceError.self, "\(url)") { try Proxy(url) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains(reason) == true, "\(url): \(error?.message ?? "")")
        #expect(error?.message.hasPrefix("proxy: ") == true)
        #expect(!"\(error as Any)".contains("canary"))
    }

    @Test("SOCKS takes a user and a password of 255 bytes, and HTTP longer ones")
    func longCredentials() throws {
        let text = String(repeating: "x", count: 255)
        #expect(try Proxy("socks5h://\(text):\(text)@proxy.test").credentials?.user == text)
        #expect(try Proxy("http://\(text)x:\(text)x@proxy.test").credentials?.password == text + "x")
    }

    @Test("Proxies differ by kind, host, port, credentials, and where names are resolved")
    func equality() throws {
        #expect(try Proxy("http://Proxy.test") == Proxy("http://proxy.test:80/"))
        let different = [
            "http://proxy.test", "https://proxy.test:80", "http://proxy.test:81", "http://proxy2.test",
            "http://u@proxy.test", "http://u:p@proxy.test", "socks5://proxy.test:80", "socks5h://proxy.test:80",
        ]
        #expect(Set(try different.map { try Proxy($0) }).count == different.count)
    }

    static let choices: [(choice: ProxyChoice, described: String, problem: String?)] = [
        (.environment, "environment", nil), (.none, "none", nil), (.custom { _ in nil }, "custom", nil),
        (.http("http://u:canary@proxy.test"), "http://proxy.test:80", nil),
        (.http("proxy.test:3128"), "http://proxy.test:3128", nil),
        (.https("proxy.test"), "https://proxy.test:443", nil),
        (.socks5("proxy.test"), "socks5h://proxy.test:1080", nil),
        (.socks5("socks5://proxy.test"), "socks5://proxy.test:1080", nil),
        (.socks5("u:canary@proxy.test"), "socks5h://proxy.test:1080", nil),
        (.url("proxy.test:3128"), "http://proxy.test:3128", nil),
        (.url("socks5h://[::1]"), "socks5h://[::1]:1080", nil),
        (.http("https://proxy.test"), "malformed", "must begin with http://"),
        (.https("http://proxy.test"), "malformed", "must begin with https://"),
        (.socks5("http://proxy.test"), "malformed", "must begin with socks5:// or socks5h://"),
        (.url(""), "malformed", "no host"), (.url("canary/x"), "malformed", "a path"),
    ]

    @Test("A choice says which proxy it is, and why it names none; never the credentials", arguments: choices.indices)
    func choice(index: Int) {
        let (choice, described, problem) = Self.choices[index]
        #expect("\(choice)" == described)
        let problems = choice.problems(at: "proxy")
        #expect(problems.map(\.path) == (problem == nil ? [] : ["proxy"]))
        if let problem { #expect(problems.first?.reason.contains(problem) == true, "\(problems)") }
        var dumped = ""
        dump(choice, to: &dumped)
        #expect(!(dumped + String(reflecting: choice) + "\(problems)").contains("canary"))
    }

    @Test("Two choices with equal proxies are equal; two closures are not, but a copy of one is")
    func equalChoices() {
        #expect(ProxyChoice.http("proxy.test") == .http("http://proxy.test:80"))
        #expect(ProxyChoice.http("proxy.test") != .http("u@proxy.test"))
        #expect(ProxyChoice.environment != .none)
        let custom = ProxyChoice.custom { _ in nil }
        let copy = custom
        #expect(custom == copy)
        #expect(custom != .custom { _ in nil })
    }

    @Test(
        "A configuration names environment, none or a URL with a scheme",
        arguments: [
            ("environment", "environment"), ("none", "none"), ("http://u:p@proxy.test:1", "http://proxy.test:1"),
            ("socks5://proxy.test", "socks5://proxy.test:1080"),
        ])
    func configured(text: String, described: String) throws {
        #expect("\(try ProxyChoice(configured: text))" == described)
    }

    @Test(
        "A configuration's misspelt word is no proxy's host",
        arguments: [
            "", "enviroment", "None", "canary", "canary:3128", "canary://proxy.test",
            "http://proxy.test/canary",
        ])
    func notConfigured(text: String) {
        let error = #expect(throws: Proxy.Malformed.self) { try ProxyChoice(configured: text) }
        #expect(error?.reason.isEmpty == false)
        #expect(error?.reason.contains("canary") == false)
    }
}
