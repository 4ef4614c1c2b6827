import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("Proxies of the environment")
struct EnvironmentProxiesTests {
    private static func proxy(_ variables: [String: String], _ url: String) throws -> String? {
        try EnvironmentProxies { variables[$0] }.proxy(for: ServiceURL(url).origin)?.description
    }

    static let table: [(variables: [String: String], url: String, proxy: String?)] = [
        ([:], "http://a.test", nil),
        // The scheme of the URL names the variable; all_proxy is for both.
        (["http_proxy": "http://p:1"], "http://a.test", "http://p:1"),
        (["http_proxy": "http://p:1"], "https://a.test", nil),
        (["https_proxy": "http://p:1"], "https://a.test", "http://p:1"),
        (["https_proxy": "http://p:1"], "http://a.test", nil),
        (["all_proxy": "socks5h://p"], "http://a.test", "socks5h://p:1080"),
        (["all_proxy": "socks5://p"], "https://a.test", "socks5://p:1080"),
        (["all_proxy": "http://p:1", "http_proxy": "http://q:2"], "http://a.test", "http://q:2"),
        (["all_proxy": "http://p:1", "http_proxy": "http://q:2"], "https://a.test", "http://p:1"),
        // Lower case takes precedence; an empty value counts as not set.
        (["HTTP_PROXY": "http://p:1"], "http://a.test", "http://p:1"),
        (["HTTPS_PROXY": "http://p:1"], "https://a.test", "http://p:1"),
        (["ALL_PROXY": "http://p:1"], "https://a.test", "http://p:1"),
        (["HTTP_PROXY": "http://p:1", "http_proxy": "http://q:2"], "http://a.test", "http://q:2"),
        (["HTTPS_PROXY": "http://p:1", "https_proxy": "http://q:2"], "https://a.test", "http://q:2"),
        (["ALL_PROXY": "http://p:1", "all_proxy": "http://q:2"], "https://a.test", "http://q:2"),
        (["HTTP_PROXY": "http://p:1", "http_proxy": ""], "http://a.test", "http://p:1"),
        (["http_proxy": "", "all_proxy": "http://p:1"], "http://a.test", "http://p:1"),
        (["http_proxy": ""], "http://a.test", nil),
        // host:port means http.
        (["http_proxy": "p:3128"], "http://a.test", "http://p:3128"),
        (
            ["http_proxy": "p"], "http://a.test",
            "http://p:80"
        ),
        (["http_proxy": "u:s@[::1]:3128/"], "http://a.test", "http://[::1]:3128"),
        // no_proxy.
        (["all_proxy": "p", "no_proxy": "a.test"], "https://a.test", nil),
        (["all_proxy": "p", "no_proxy": "b.test"], "https://a.test", "http://p:80"),
        (["all_proxy": "p", "NO_PROXY": "a.test"], "https://a.test", nil),
        (["all_proxy": "p", "NO_PROXY": "a.test", "no_proxy": "b.test"], "https://a.test", "http://p:80"),
        (["all_proxy": "p", "NO_PROXY": "a.test", "no_proxy": ""], "https://a.test", nil),
        (["all_proxy": "p", "no_proxy": "*"], "https://a.test", nil),
        // Loopback and Unix domain sockets use none.
        (["all_proxy": "p"], "http://localhost:8080", nil), (["all_proxy": "p"], "http://localhost.", nil),
        (["all_proxy": "p"], "http://api.LOCALHOST", nil), (["all_proxy": "p"], "http://127.0.0.1", nil),
        (["all_proxy": "p"], "https://127.255.0.3:8443", nil), (["all_proxy": "p"], "http://[::1]", nil),
        (["all_proxy": "p"], "http://[0:0:0:0:0:0:0:1]", nil), (["all_proxy": "p"], "http://[::ffff:127.0.0.1]", nil),
        (["all_proxy": "p"], "http+unix://%2Ftmp%2Fa.sock", nil),
        (["all_proxy": "p"], "http://notlocalhost", "http://p:80"), (["all_proxy": "p"], "http://[::2]", "http://p:80"),
        (["all_proxy": "p"], "http://128.0.0.1", "http://p:80"), (["all_proxy": "p"], "http://[1::1]", "http://p:80"),
        // Of the other forms of a name, none is read.
        (["Http_Proxy": "p", "ftp_proxy": "p", "socks_proxy": "p"], "http://a.test", nil),
    ]

    @Test("The environment names the proxy of an origin", .tags(.PX6), arguments: table.indices)
    func chosen(index: Int) throws {
        let row = Self.table[index]
        #expect(try Self.proxy(row.variables, row.url) == row.proxy, "\(row.variables) \(row.url)")
    }

    @Test("In a CGI program, HTTP_PROXY is a field of a request and names no proxy", .tags(.I12))
    func cgi() throws {
        let variables = ["REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil:1", "HTTPS_PROXY": "http://p:1"]
        #expect(try Self.proxy(variables, "http://a.test") == nil)
        #expect(try Self.proxy(variables, "https://a.test") == "http://p:1")
        let others = variables.merging(["http_proxy": "http://q:2"]) { $1 }
        #expect(try Self.proxy(others, "http://a.test") == "http://q:2")
        let all = variables.merging(["ALL_PROXY": "http://q:2"]) { $1 }
        #expect(try Self.proxy(all, "http://a.test") == "http://q:2")
    }

    @Test(
        "A malformed variable fails the requests that it is for, with its name and without its value",
        arguments: ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    func malformed(name: String) throws {
        let proxies = EnvironmentProxies { $0 == name ? "http://canary:canary@p:1/canary" : nil }
        let isHTTP = !name.lowercased().hasPrefix("https")
        let origin = try ServiceURL(isHTTP ? "http://a.test" : "https://a.test").origin
        let error = #expect(throws: ServiceError.self) { try proxies.proxy(for: origin) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.progress == .neverSent)
        #expect(error?.message.hasPrefix("\(name) in the environment names no usable proxy: URL has a path") == true)
        #expect(!"\(error as Any)".contains("canary"))
        #expect(try proxies.proxy(for: ServiceURL("http://localhost").origin) == nil)
    }

    @Test("A malformed variable does not concern origins of the other scheme, or in no_proxy")
    func malformedElsewhere() throws {
        let variables = ["http_proxy": "ftp://p", "https_proxy": "http://p:1", "no_proxy": "a.test"]
        #expect(try Self.proxy(variables, "http://a.test") == nil)
        #expect(try Self.proxy(variables, "https://b.test") == "http://p:1")
        #expect(throws: ServiceError.self) { try Self.proxy(variables, "http://b.test") }
    }

    @Test("There is no proxy at all if no variable names one, or no_proxy has a star")
    func direct() {
        let settings: [([String: String], Bool)] = [
            ([:], true), (["no_proxy": "a.test"], true), (["http_proxy": ""], true), (["all_proxy": "p"], false),
            (["https_proxy": "p"], false), (["all_proxy": "p", "no_proxy": "a,*"], true),
            (["all_proxy": "ftp://p"], false), (["REQUEST_METHOD": "GET", "HTTP_PROXY": "p"], true),
        ]
        for (variables, isDirect) in settings {
            #expect(EnvironmentProxies { variables[$0] }.isDirect == isDirect, "\(variables)")
        }
    }

    @Test("One warning names the entries of no_proxy that make no sense, at most eight of them")
    func warnings() {
        func warnings(_ variables: [String: String]) -> [String] { EnvironmentProxies { variables[$0] }.warnings }
        let few = warnings(["all_proxy": "p", "NO_PROXY": "a.test,10.*,http://u:canary@b"])
        #expect(
            few == [
                "NO_PROXY in the environment has entries that are no host, address or network, and are ignored: "
                    + "\"10.*\", one of 17 bytes"
            ])
        let many = warnings(["all_proxy": "p", "no_proxy": String(repeating: "10.*,", count: 10_000)])
        #expect(many.first?.hasSuffix("\"10.*\" and 9992 more") == true)
        #expect(many.first?.utf8.count ?? 0 < 1024)
        #expect(warnings(["all_proxy": "p", "no_proxy": "a.test"]) == [])
        #expect(warnings(["no_proxy": "10.*"]) == [])
    }
}
