import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The proxy of a request")
struct ProxySelectionTests {
    private struct Mine: Error {}

    private static let variables = ["all_proxy": "http://env:1", "no_proxy": "b.test,10.*"]

    private static func selection(_ choice: ProxyChoice) throws -> ProxySelection {
        try ProxySelection(choice) { variables[$0] }
    }

    static let table: [(choice: ProxyChoice, url: String, proxy: String?)] = [
        (.none, "http://a.test", nil), (.environment, "http://a.test", "http://env:1"),
        (.environment, "http://b.test", nil), (.environment, "http://localhost", nil),
        // A choice of the program is for all origins, also for loopback ones and those in no_proxy.
        (.http("p:1"), "http://a.test", "http://p:1"), (.http("p:1"), "https://a.test", "http://p:1"),
        (.http("p:1"), "http://b.test", "http://p:1"), (.https("p"), "http://localhost", "https://p:443"),
        (.socks5("p"), "http://127.0.0.1", "socks5h://p:1080"), (.socks5("p"), "https://[::1]", "socks5h://p:1080"),
        (.url("socks5://p"), "http://a.test", "socks5://p:1080"), (.http("p:1"), "http+unix://%2Ftmp%2Fa.sock", nil),
        (.custom { $0.path == "/x" ? try Proxy("http://p:1") : nil }, "http://a.test/x", "http://p:1"),
        (.custom { $0.path == "/x" ? try Proxy("http://p:1") : nil }, "http://a.test/y", nil),
        (.custom { _ in try Proxy("http://p:1") }, "http://localhost", "http://p:1"),
        (.custom { _ in try Proxy("http://p:1") }, "http+unix://%2Ftmp%2Fa.sock", nil),
    ]

    @Test("A choice gives the proxy of a URL", arguments: table.indices)
    func chosen(index: Int) throws {
        let row = Self.table[index]
        let found = try Self.selection(row.choice).proxy(for: ServiceURL(row.url))
        #expect(found?.description == row.proxy, "\(row.choice) \(row.url)")
    }

    @Test("A connection that belongs to no request uses the proxy of its origin's root")
    func origin() throws {
        let origin = try ServiceURL("https://a.test:8443/ignored?q").origin
        #expect(try Self.selection(.http("p:1")).proxy(for: origin)?.description == "http://p:1")
        let custom = ProxyChoice.custom { $0.absoluteString == "https://a.test:8443/" ? try Proxy("http://p:1") : nil }
        #expect(try Self.selection(custom).proxy(for: origin)?.description == "http://p:1")
    }

    @Test("Without a proxy the selection is direct, and only a closure looks at more than the origin")
    func direct() throws {
        #expect(try Self.selection(.none).isDirect)
        #expect(try !Self.selection(.environment).isDirect)
        #expect(try ProxySelection(.environment) { _ in nil }.isDirect)
        #expect(try !Self.selection(.http("p")).isDirect)
        #expect(try Self.selection(.http("p")).dependsOnOriginOnly)
        #expect(try Self.selection(.environment).dependsOnOriginOnly)
        #expect(try !Self.selection(.custom { _ in nil }).dependsOnOriginOnly)
        #expect(try !Self.selection(.custom { _ in nil }).isDirect)
    }

    @Test("Only the choice .environment reads variables", .tags(.PX6))
    func reads() throws {
        let others: [ProxyChoice] = [.none, .http("p"), .socks5("p"), .custom { _ in nil }]
        for choice in others {
            var isRead = false
            let selection = try ProxySelection(choice) { _ in
                isRead = true
                return "10.*"
            }
            #expect(!isRead, "\(choice)")
            #expect(selection.warnings == [])
        }
        #expect(try Self.selection(.environment).warnings.count == 1)
    }

    @Test("A closure's ServiceError is thrown unchanged; another error is invalidConfiguration without its text")
    func throwing() throws {
        let url = try ServiceURL("http://a.test/?canary")
        let own = #expect(throws: ServiceError.self) {
            try Self.selection(.custom { _ in throw ServiceError(.poolSaturated, "mine") }).proxy(for: url)
        }
        #expect(own?.code == .poolSaturated)
        let other = #expect(throws: ServiceError.self) {
            try Self.selection(.custom { _ in throw Mine() }).proxy(for: url)
        }
        #expect(other?.code == .invalidConfiguration)
        #expect(other?.underlying is Mine)
        #expect(other?.message == "proxy: the closure of .custom threw Mine")
        #expect(other?.origin == "http://a.test:80")
    }

    @Test("A choice that names no usable proxy makes no selection")
    func malformed() {
        let error = #expect(throws: ServiceError.self) { try Self.selection(.http("http://p/canary")) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message == "proxy: URL has a path, which a proxy cannot have")
    }

    @Test("A transport has the warnings of its environment")
    func transport() async throws {
        var options = TransportOptions()
        options.variable = { Self.variables[$0] }
        let transport = try PooledTransport(options: options)
        #expect(transport.warnings.count == 1)
        await transport.close()
    }
}
