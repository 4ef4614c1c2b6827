import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The route of a request")
struct RouteTests {
    private let origin: Origin
    private let first: IPAddress
    private let second: IPAddress

    init() throws {
        origin = try ServiceURL("https://api.test").origin
        first = try #require(IPAddress("192.0.2.1"))
        second = try #require(IPAddress("2001:db8::1"))
    }

    @Test("Two routes are the same if the origin, the proxy and the address are")
    func equality() throws {
        let proxy = try Proxy("http://proxy.test:3128")
        let other = try ServiceURL("https://api.test:8443").origin
        // Their paths are different files, although Swift takes the paths as equal text.
        let composed = try ServiceURL("http+unix://%2Frun%2F%C3%A9.sock/").origin
        let decomposed = try ServiceURL("http+unix://%2Frun%2Fe%CC%81.sock/").origin
        let routes = [
            Route(composed), Route(decomposed), Route(origin), Route(other), Route(origin, proxy: proxy),
            Route(origin, address: first),
            Route(origin, address: second), Route(other, address: first),
        ]
        for (index, route) in routes.enumerated() {
            #expect(routes.firstIndex(of: route) == index)
        }
        #expect(Set(routes).count == routes.count)

        // Two requests that chose the same address have different placements.
        let same = Route(origin, placement: AttemptPlacement(address: first, namedOrigin: other, isHedge: true))
        #expect(same == Route(origin, address: first))
        #expect(same.hashValue == Route(origin, address: first).hashValue)
        #expect(same.address == first)
        #expect(same.proxy == nil)
    }

    @Test("A placement without an address chooses no route")
    func hedge() {
        let route = Route(origin, placement: AttemptPlacement(isHedge: true))
        #expect(route == Route(origin))
        #expect(route.address == nil)
    }

    @Test("An address counts only if the client itself finds the addresses of the host")
    func ignored() throws {
        let proxy = try Proxy("socks5://proxy.test:1080")
        let proxied = Route(origin, proxy: proxy, placement: AttemptPlacement(address: first))
        #expect(proxied == Route(origin, proxy: proxy))
        #expect(proxied.address == nil)
        for url in ["http://192.0.2.7/", "http://[2001:db8::7]/", "http+unix://%2Ftmp%2Fa.sock/"] {
            let origin = try ServiceURL(url).origin
            let route = Route(origin, address: first)
            #expect(route == Route(origin), "\(url)")
            #expect(route.address == nil, "\(url)")
        }
    }

    @Test("The route of a prepared request has the address of its placement, and Host and target stay")
    func prepared() throws {
        var context = RequestContext()
        context.placement = AttemptPlacement(address: first)
        let request = try PreparedRequest(
            ServiceRequest(method: .get, "http://api.test/x?y"), context: context,
            started: MonotonicInstant(nanoseconds: 0), isPooled: true)
        #expect(request.route == Route(try ServiceURL("http://api.test").origin, address: first))
        #expect(String(buffer: request.http1Head()) == "GET /x?y HTTP/1.1\r\nHost: api.test\r\n\r\n")
    }

    @Test("A route is two words: routes are copied for each request")
    func size() {
        #expect(MemoryLayout<Route>.size == 2 * MemoryLayout<Int>.size)
    }
}
